"""No template tells where in memory something is, be it by its text or by its failure."""

from __future__ import annotations

from typing import Any

import pytest

from blocks.template_sandbox import render, render_straight
from blocks.templates import Job

VALUES: dict[str, Any] = {"l": [1, 2], "x": "ab", "d": {"a": "b"}, "n": ["p", "q"]}

HIDDEN = (
    "{{ [l|reverse] }}",
    "{{ (l|reverse,) }}",
    "{{ {'a': l|batch(2)} }}",
    "{{ [x|map('upper')] }}",
    "{{ '%s' % (l|reverse) }}",
    "{{ '%s'|format(l|reverse) }}",
    "{{ '{}'.format(l|reverse) }}",
    "{{ '{!r}'.format(l|reverse) }}",
    "{{ '{0[a]}'.format({'a': l|reverse}) }}",
    "{{ '{a}'.format_map({'a': l|reverse}) }}",
    "{{ [l|reverse]|join }}",
    "{{ l|join(l|reverse) }}",
    "{{ [l|reverse] ~ '' }}",
    "{{ [l|reverse]|string }}",
    "{{ (l|reverse)|title }}",
    "{{ (l|reverse)|upper }}",
    "{{ (l|reverse)|pprint }}",
    "{{ [l|reverse]|pprint }}",
    "{{ (l|reverse)|e }}",
    "{{ (l|reverse)|forceescape }}",
    "{{ (l|reverse)|replace('a', 'b') }}",
    "{{ 'a'|replace('a', l|reverse) }}",
    "{{ {'a': l|reverse}|xmlattr }}",
    "{{ {l|reverse: 1}|xmlattr }}",
    "{{ {'a': l|reverse}|urlencode }}",
    "{{ (l|reverse)|urlencode }}",
    "{{ (l|reverse)|tojson }}",
    "{{ (l|reverse)|indent }}",
    "{{ (l|reverse)|wordwrap }}",
    "{{ (l|reverse)|center(99) }}",
    "{{ (l|reverse)|trim }}",
    "{{ (l|reverse)|striptags }}",
    "{{ (l|reverse)|urlize }}",
    "{{ (l|reverse)|round }}",
    "{{ (l|reverse)|capitalize }}",
    "{{ (l|reverse)|lower }}",
    "{{ (l|reverse)|safe }}",
    "{{ (l|reverse)|length }}",
    "{{ [l|reverse, l|reverse]|sum(start='') }}",
    "{{ [l|reverse]|sort }}",
    "{{ [l|reverse, l|reverse]|sort }}",
    "{{ [l|reverse, l|reverse]|unique|list }}",
    "{{ [l|reverse, l|reverse]|max }}",
    "{{ [l|reverse]|groupby(0) }}",
    "{{ [{'a': l|reverse}]|groupby('a') }}",
    "{{ {'a': l|reverse}|dictsort }}",
    "{{ {'a': l|reverse}|dictsort(by='value') }}",
    "{{ d|items }}",
    "{{ [d|items] }}",
    "{{ [l|slice(2)] }}",
    "{{ [l|select] }}",
    "{{ [l|reject] }}",
    "{{ [[d]|selectattr('a')] }}",
    "{{ [[d]|rejectattr('a')] }}",
    "{{ [l|unique] }}",
    "{{ [l|map('string')] }}",
    "{{ [l]|map('reverse')|list }}",
    "{{ [l]|map('map', 'string')|list }}",
    "{% set n = namespace(a=l|reverse) %}{{ n }}",
    "{% set n = namespace(a=l|reverse) %}{{ [n] }}",
    "{% set n = namespace(a=x.upper) %}{{ n }}",
    "{{ namespace }}",
    "{{ [namespace] }}",
    "{{ d[l|reverse] }}",
    "{{ d[x.upper] }}",
    "{{ l[l|reverse] }}",
    "{{ l.index(l|reverse) }}",
    "{{ l.index(x.upper) }}",
    "{{ x[l|reverse] }}",
    "{{ (l|reverse).foo }}",
    "{{ (l|reverse)['__next__'] }}",
    "{{ (l|reverse).__next__ }}",
    "{{ (l|reverse)._inner }}",
    "{{ (l|map('upper')).gi_frame }}",
    "{{ (l|map('upper')).send }}",
    "{{ (l|reverse)|attr('foo') }}",
    "{{ d.items() }}",
    "{{ {'a': l|reverse}.items() }}",
    "{{ {'a': l|reverse}.values() }}",
    "{{ {'a': l|reverse}.copy() }}",
    "{{ d.items().mapping }}",
    "{{ d.keys() }}",
    "{{ [d.values] }}",
    "{{ {}.fromkeys(l, l|reverse) }}",
    "{{ d.get('z', l|reverse) }}",
    "{{ [d.get('z', x.upper)] }}",
    "{% for i in l %}{{ loop }}{{ [loop] }}{% endfor %}",
    "{% for i in l %}{{ [loop.cycle] }}{% endfor %}",
    "{% for i in l %}{{ [loop.changed] }}{% endfor %}",
    "{% for i in [l|reverse, l|reverse] %}{{ loop.nextitem }}{% endfor %}",
    "{% for i in [l|reverse, l|reverse] %}{{ [loop.previtem] }}{% endfor %}",
    "{% for i in [l|reverse] recursive %}{{ [loop.cycle(i)] }}{% endfor %}",
    "{% for i in l recursive %}{{ [loop] }}{% endfor %}",
    "{% macro m(a) %}{{ [a] }}{% endmacro %}{{ m(l|reverse) }}",
    "{% macro m() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, x.upper, b=l|reverse) }}",
    "{% macro m() %}{% endmacro %}{{ [m] }}",
    "{% macro m() %}{% endmacro %}{{ m }}",
    "{% macro m() %}{{ [caller] }}{% endmacro %}{% call m() %}{% endcall %}",
    "{% macro m() %}{% endmacro %}{{ m(l|reverse) }}",
    "{% block b %}{{ [self] }}{{ [self.b] }}{% endblock %}",
    "{% block b %}{{ [self['b']] }}{% endblock %}",
    "{% block b %}{{ [super] }}{% endblock %}",
    "{{ [missing] }}",
    "{{ [x.upper] }}",
    "{{ [x['upper']] }}",
    "{{ [x|attr('upper')] }}",
    "{{ [x]|map(attribute='upper')|list }}",
    "{{ [x|first] }}",
    "{{ [x.format] }}",
    "{{ [(x|e).format] }}",
    "{{ [(x|e).escape] }}",
    "{{ [x.encode()] }}",
    "{{ [range] }}",
    "{{ [range(3).count] }}",
    "{{ [range(3)|reverse] }}",
    "{{ x + (l|reverse) }}",
    "{{ (l|reverse) < 1 }}",
    "{{ l + [l|reverse] }}",
    "{{ [l|reverse] * 2 }}",
    "{% set a = l|reverse %}{{ a }}",
    "{% set a %}{{ [l|reverse] }}{% endset %}{{ a }}",
    "{% with a = l|reverse %}{{ [a] }}{% endwith %}",
    "{% filter upper %}{{ [l|reverse] }}{% endfilter %}",
    "{{ x.center(l|reverse) }}",
    "{{ x.join([l|reverse]) }}",
    "{{ x.split(l|reverse) }}",
    "{{ x.replace('a', l|reverse) }}",
    "{{ '%(a)s' % {'a': l|reverse} }}",
    "{{ '%r' % (l|reverse) }}",
    "{{ '%d' % (l|reverse) }}",
    "{{ ('%s'|safe) % (l|reverse) }}",
    "{{ ('{}'|safe).format(l|reverse) }}",
)
"""Functions and iterators wherever they can be put, and whatever else is not a value."""


@pytest.mark.parametrize("escape_html", [False, True])
@pytest.mark.parametrize("source", HIDDEN)
@pytest.mark.holds("S28")
def test_no_address_of_the_memory_is_told(source: str, escape_html: bool) -> None:
    job = Job(source, VALUES, escape_html)
    for answer in (render(job), render_straight(job)):
        assert answer is None or "0x" not in f"{answer.text}{answer.failure}"


@pytest.mark.parametrize(
    "source",
    [
        "{{ x.upper ~ '' }}",
        "{{ x.upper|string }}",
        "{{ x.upper|e }}",
        "{{ [x.upper] }}",
        "{{ n|map('upper') ~ '' }}",
        "{{ [n|map('upper')] }}",
        "{{ '%s' % x.upper }}",
        "{{ {'k': l|reverse}|xmlattr }}",
        "{{ d[l|reverse] }}",
        "{{ [range] }}",
        "{{ [namespace] }}",
    ],
)
def test_a_failure_says_what_cannot_be_printed(source: str) -> None:
    failure = render(Job(source, VALUES, escape_html=False)).failure
    assert failure in {"a function cannot be printed", "an iterator cannot be printed"}


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{% for i in range(2) %}{{ n[i].upper() ~ '-' ~ i }};{% endfor %}", "P-0;Q-1;"),
        ("{{ '{}'.format(x) }}{{ x['upper']() }}{{ (x|attr('title'))() }}", "abABAb"),
        ("{{ l|reverse|list }}{{ l|reverse|first }}{{ l|reverse|sum }}", "[2, 1]23"),
        ("{% for i in l|reverse %}{{ i }}/{{ loop.length }};{% endfor %}", "2/2;1/2;"),
        ("{{ n|map('upper')|map('lower')|join('+') }}", "p+q"),
        (
            "{{ l|batch(1)|list }}{{ l|slice(2)|list }}{{ d|items|list }}",
            "[[1], [2]]" * 2 + "[('a', 'b')]",
        ),
        ("{{ l|select('odd')|list }}{{ [d]|selectattr('a')|map(attribute='a')|list }}", "[1]['b']"),
        ("{{ (l|reverse)|reverse|list }}{{ x|reverse }}", "[1, 2]ba"),
        ("{% set n = namespace(a=l|reverse) %}{{ n.a|list }}", "[2, 1]"),
        ("{% for i in l %}{{ (loop|default).index }}{{ loop.cycle(*l) }}{% endfor %}", "1122"),
        ("{% macro m(f) %}{{ f() }}{% endmacro %}{{ m(x.upper) }}", "AB"),
    ],
)
def test_functions_and_iterators_are_used_as_ever(source: str, text: str) -> None:
    assert render(Job(source, VALUES, escape_html=False)).text == text
