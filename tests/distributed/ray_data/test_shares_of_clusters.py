import itertools

import pytest

from keras_pli.distributed.ray_data.resources import Cluster, share_of


def one_node(cpus, gpus=0.0):
    return Cluster([cpus], [gpus])


@pytest.mark.parametrize(
    "cpus, actors, each",
    [
        (1, 1, 0.0),
        (1, 3, 0.0),
        (2, 1, 1.0),
        (2, 2, 0.5),
        (2, 3, 0.33),
        (4, 2, 1.0),
        (16, 4, 1.0),
        (4, 5, 0.6),
    ],
)
def test_a_cpu_is_left_for_feeding(cpus, actors, each):
    assert share_of(one_node(float(cpus)), actors, None, 0).num_cpus == each


def test_actors_and_a_task_fit_on_any_nodes():
    """By laying actors out one by one: no node is overfull, and one has a whole CPU left."""
    for cpus in itertools.product((0.0, 1.0, 2.0, 3.5, 8.0), repeat=2):
        for actors in range(1, 12):
            if max(cpus) < 1:
                continue
            each = share_of(Cluster(cpus, [0.0, 0.0]), actors, None, 0).num_cpus
            fits = False
            for node, free in enumerate(cpus):
                if free >= 1:
                    left = [
                        free - 1 if number == node else count for number, count in enumerate(cpus)
                    ]
                    placed = 0
                    while placed < actors and max(left) + 1e-9 >= each:
                        left[left.index(max(left))] -= each
                        placed += 1
                    fits = fits or placed == actors
            assert fits, (cpus, actors, each)


@pytest.mark.parametrize(
    "cluster, actors, cpus, gpus, words",
    [
        (one_node(2.0), 2, 1, 0, r"2 actors of 1 CPU each leave none of the cluster's 2 CPUs"),
        (one_node(4.0), 1, 4, 0, r"1 actor of 4 CPUs each leave none of the cluster's 4 CPUs"),
        (Cluster([2.0, 2.0], [0, 0]), 1, 3, 0, r"by node: \[2\.0, 2\.0\]"),
        (
            Cluster([4.0, 4.0], [1.0, 1.0]),
            1,
            None,
            2,
            r"1 actor of 2 GPUs each .* have \[1\.0, 1\.0\] GPUs",
        ),
        (Cluster([4.0, 4.0], [1.0, 1.0]), 3, None, 0.6, r"3 actors of 0\.6 GPUs each"),
        (one_node(0.5), 1, None, 0, r"leave none of the cluster's 0\.5 CPUs"),
    ],
)
def test_what_could_never_start_is_refused(cluster, actors, cpus, gpus, words):
    with pytest.raises(ValueError, match=words):
        share_of(cluster, actors, cpus, gpus)
    grown = Cluster(cluster.cpus, cluster.gpus, grows=True)
    share_of(grown, actors, cpus, gpus)  # an autoscaler may bring what lacks


@pytest.mark.parametrize("given", [0, (2, 1), (1, 2, 3), True, 1.5, "2"])
def test_counts_of_actors(given):
    with pytest.raises(ValueError, match="`concurrency` must be"):
        share_of(one_node(8.0), given, None, 0)


def test_threads_follow_the_share():
    assert share_of(one_node(16.0), 2, 6, 0).threads == 6
    assert share_of(one_node(2.0), 2, None, 0).threads == 1
    assert share_of(one_node(16.0), (1, 3), 2.5, 0).threads == 2
