"""Learning tasks: one package per task, all behind `tlkit.tasks.base.Task`."""
