"""Read models in Redis: functions of the log, disposable, rebuilt at will."""
