UPDATE shards SET
    epoch = deciders.epoch, who = deciders.who, folds = deciders.folds, dirty = false, bound_writes = 0, bound_bytes = 0
FROM deciders WHERE deciders.only_row = 1
