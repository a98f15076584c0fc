from __future__ import annotations

import ipaddress
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from uuid import UUID

import msgspec
import pytest

from blocks.catalogue import CATALOGUE, CONTRACTS, catalogue_of, describe
from blocks.contract import Block, Http, ReviewBlock, Reviewed
from domain.contracts import Effect
from domain.policies import DEFAULT_POLICY, read_policy
from runtime.egress import Egress
from tests.blocks.support import outputs_of
from tests.support.http_server import Received, answer, http_server
from tests.support.plugin_blocks import NeedsCredentials, NotesItsKey, NotesItsKeyWithConsent

BLOCKS = pytest.mark.parametrize("block", CATALOGUE.values(), ids=lambda block: block.name)
# What is a run of another graph has no code of its own, and so no example that could be run.
RUNNABLE = pytest.mark.parametrize(
    "block",
    [block for block in CATALOGUE.values() if block.effect is not Effect.CHILD],
    ids=lambda block: block.name,
)


@pytest.fixture
async def example_http() -> AsyncIterator[Http]:
    """The way to a server that stands where the examples look for api.example.com."""

    def echo(request: Received) -> bytes:
        body = msgspec.json.decode(request.body)
        content = msgspec.json.encode({"method": request.method, "body": body})
        return answer(200, content, Content_Type="application/json")

    async with http_server({"/echo": echo}) as server:

        async def resolve(host: str, port: int, _: str) -> Sequence[tuple[str, int]]:
            assert (host, port) == ("api.example.com", 80)
            return [("127.0.0.1", server.port)]

        egress = Egress([ipaddress.ip_network("127.0.0.0/8")], resolve=resolve)
        yield egress.of("somebody")
        await egress.close()


@RUNNABLE
async def test_the_example_of_a_block_is_true(block: Block, example_http: Http) -> None:
    outputs = await outputs_of(block, block.test_input, example_http, _approval(block))
    assert outputs == list(block.test_output)


def _approval(block: Block) -> Reviewed | None:
    """The word of a person who agrees to what the example of a block asks."""
    if not isinstance(block, ReviewBlock):
        return None
    question = block.question(msgspec.convert(block.test_input, block.Input))
    return Reviewed(approved=True, data=question.data)


@BLOCKS
def test_the_example_of_a_block_keeps_to_its_contract(block: Block) -> None:
    contract = CONTRACTS[block.id]
    assert set(contract.required) <= block.test_input.keys() <= contract.inputs.keys()
    assert {name for name, _ in block.test_output} <= contract.outputs.keys()


@BLOCKS
def test_a_block_is_described_in_both_shapes(block: Block) -> None:
    shown = msgspec.json.decode(msgspec.json.encode(describe(block)))
    assert {
        *("id", "type", "category", "name", "description", "input_schema", "output_schema"),
        *("static_output", "block_costs", "disabled", "test_input", "test_output", "test_mock"),
        *("inputSchema", "outputSchema", "costs", "categories", "contributors"),
        *("staticOutput", "uiType"),
    } == shown.keys()
    assert shown["input_schema"] == shown["inputSchema"]
    assert shown["output_schema"] == shown["outputSchema"]
    for schema in (shown["inputSchema"], shown["outputSchema"]):
        assert schema["type"] == "object"
        for pin in schema["properties"].values():
            assert pin["title"]
            assert pin["description"]
            assert isinstance(pin["advanced"], bool)
            assert isinstance(pin["secret"], bool)
            assert "$ref" not in str(pin)
    assert shown["outputSchema"]["properties"]["error"]["type"] == "string"
    assert all(category["description"] for category in shown["categories"])
    assert UUID(shown["id"]).version


def test_the_required_pins_are_those_without_default() -> None:
    schema = describe(CATALOGUE["715696a0-e1da-45c8-b209-c2fa9c3b0be6"])["inputSchema"]
    assert schema["required"] == ["value1", "operator", "value2"]
    assert schema["properties"]["yes_value"]["default"] is None
    assert schema["properties"]["operator"]["enum"] == ["!=", "<", "<=", "==", ">", ">="]


def test_the_blocks_keep_the_ids_and_names_that_graphs_know_them_by() -> None:
    assert {block.name: block_id for block_id, block in CATALOGUE.items()} == {
        "AgentInputBlock": "c0a8e994-ebf1-4a9c-a4d8-89d09c86741b",
        "AgentOutputBlock": "363ae599-353e-4804-937e-b2ee3cef3da4",
        "StoreValueBlock": "1ff065e9-88e8-4358-9d82-8dc91f622ba9",
        "ConditionBlock": "715696a0-e1da-45c8-b209-c2fa9c3b0be6",
        "CalculatorBlock": "b1ab9b19-67a6-406d-abf5-2dba76d00c79",
        "CountItemsBlock": "3c9c2f42-b0c3-435f-ba35-05f7a25c772a",
        "StepThroughItemsBlock": "f66a3543-28d3-4ab5-8945-9b336371e2ce",
        "AddToListBlock": "aeb08fc1-2fc1-4141-bc8e-f758f183a822",
        "CombineTextsBlock": "e30a4d42-7b7d-4e6a-b36e-1f9b8e3b7d85",
        "FillTextTemplateBlock": "db7d8f02-2f44-4c55-ab7a-eae0941f0c30",
        "SendWebRequestBlock": "6595ae1f-b924-42cb-9a41-551a0611c4b4",
        "TextProcessingBlock": "7a723849-d689-4e3d-ab85-cd33e11551db",
        "WaitBlock": "3e52601a-278e-41a7-86e9-05c364a6a3e0",
        "AgentExecutorBlock": "e189baac-8c20-45a1-94a7-55177ea42565",
        "HumanInTheLoopBlock": "8b2a7b3c-6e9d-4a5f-8c1b-2e3f4a5b6c7d",
        "GenericWebhookTriggerBlock": "8fa8c167-2002-47ce-aba8-97572fc5d387",
    }


def test_what_is_static_or_more_than_pure_is_exactly_that() -> None:
    def named(blocks: list[Block]) -> set[str]:
        return {type(block).__name__ for block in blocks}

    blocks = list(CATALOGUE.values())
    static = [block for block in blocks if block.static_output]
    assert named(static) == {"AgentInput", "AgentOutput", "StoreValue"}
    effects = {effect: named([b for b in blocks if b.effect is effect]) for effect in Effect}
    del effects[Effect.PURE]
    assert effects == {
        Effect.EFFECTFUL: {"SendWebRequest"},
        Effect.TIMER: {"Wait"},
        Effect.REVIEW: {"HumanInTheLoop"},
        Effect.CHILD: {"AgentExecutor"},
    }
    costs = {block.name: CONTRACTS[block.id].cost for block in blocks if block.costs}
    assert costs == {"SendWebRequestBlock": 1}


def test_some_kinds_of_blocks_are_known_to_clients() -> None:
    kinds = {block.name: describe(block)["uiType"] for block in CATALOGUE.values()}
    special = {name: kind for name, kind in kinds.items() if kind != "Standard"}
    assert special == {
        "AgentInputBlock": "Input",
        "AgentOutputBlock": "Output",
        "AgentExecutorBlock": "Agent",
        "HumanInTheLoopBlock": "Human In The Loop",
        "GenericWebhookTriggerBlock": "Webhook",
    }


@BLOCKS
def test_the_policy_of_a_block_is_one_that_a_node_may_have(block: Block) -> None:
    written = msgspec.json.decode(msgspec.json.encode(block.policy))
    assert read_policy({"policy": written}, DEFAULT_POLICY) == block.policy


def test_two_blocks_with_one_id_or_one_name_are_refused() -> None:
    condition = type(CATALOGUE["715696a0-e1da-45c8-b209-c2fa9c3b0be6"])
    other = type(CATALOGUE["b1ab9b19-67a6-406d-abf5-2dba76d00c79"])
    copied = type("Copied", (condition,), {})
    with pytest.raises(
        ValueError,
        match=rf"blocks\.logic\.Condition and {__name__}\.Copied have the same id: {condition.id}",
    ):
        catalogue_of([condition, copied])
    with pytest.raises(
        ValueError,
        match=rf"Condition and {__name__}\.Condition have the same name: ConditionBlock",
    ):
        catalogue_of([condition, type("Condition", (other,), {})])


def test_a_credentials_pin_is_shown_as_required_and_checked_by_rules_of_its_own() -> None:
    block = NeedsCredentials()
    contract = block.contract()
    assert (contract.required, contract.credentials) == ((), ("credentials",))
    assert describe(block)["inputSchema"]["required"] == ["credentials"]


def test_a_sensitive_action_says_so() -> None:
    assert NotesItsKeyWithConsent().contract().sensitive
    assert not NotesItsKey().contract().sensitive


def test_knowing_the_blocks_does_not_load_what_only_running_them_needs() -> None:
    code = "import sys, blocks.catalogue, runtime.egress; print(*sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"jinja2", "httpx2", "httpcore2", "anyio", "dns"} & set(shown.stdout.split())
