"""A wake-up that comes while the agent's job runs is never swallowed by the one that started it."""

from pathlib import Path

from rq import Queue

from projections.jobs import WakeUpJob, queue_name
from projections.wake import wake
from workers.process import AGENT, Process


def test_a_wake_up_during_the_agents_job_asks_for_another_job(
    sqlite_ledger_url: str, redis_url: str, tmp_path: Path
) -> None:
    process = Process(
        {
            "ORDERLEDGER_DATABASE_URL": sqlite_ledger_url,
            "ORDERLEDGER_REDIS_URL": redis_url,
            "ORDERLEDGER_DATA": str(tmp_path),
        }
    )
    agent = process.agent()
    queue = Queue(queue_name(AGENT), connection=process.queue_redis, job_class=WakeUpJob)
    wake(process.queue_redis, AGENT)
    wake(process.queue_redis, AGENT)
    assert queue.count == 1

    agent.work(run_s=5)
    wake(process.queue_redis, AGENT)

    assert queue.count == 2
    agent.close()
    process.close()
