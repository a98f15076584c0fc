SELECT log.epoch()
