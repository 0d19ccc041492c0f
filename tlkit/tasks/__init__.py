"""What is learned: one package a task, all behind `tlkit.tasks.base.Task`."""
