"""Tables as Ray hands them to actors, and actors in this process."""

from keras_pli.distributed.ray_data.actors import Worker
from keras_pli.distributed.ray_data.model_source import ModelSource
from keras_pli.distributed.ray_data.resources import Share


def table_of(columns):
    """An Arrow table as Ray hands it to an actor; arrays of several axes are tensors."""
    from ray.data.block import BlockAccessor

    return BlockAccessor.batch_to_arrow_block(columns)


def arrays_of(table, *names):
    """Columns of such a table as arrays; a single one by itself."""
    from ray.data.block import BlockAccessor

    found = BlockAccessor.for_block(table).to_numpy(list(names))
    return found[names[0]] if len(names) == 1 else found


def worker_of(models, job, columns, on_error="raise"):
    """An actor in this process."""
    given = models if isinstance(models, dict) else {"model": models}
    sources = {
        name: ModelSource.of(lambda model=model: model, name) for name, model in given.items()
    }
    return Worker(sources, job, columns, on_error, Share((1, 1), 1, 0))
