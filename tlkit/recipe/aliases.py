"""Keys used by other tools, mapped to the matching tlkit keys."""

from __future__ import annotations

_STAGE = "finetune.stages[]."
_RATE = _STAGE + "optimizer: {adam: {learning_rate: ...}}"

ALIASES: dict[str, str] = {
    **dict.fromkeys(("lr", "lr0", "learning_rate", "base_lr", "initial_learning_rate"), _RATE),
    **dict.fromkeys(
        ("num_epochs", "train_epochs", "n_epochs", "max_epochs", "epoch", "num_train_epochs", "epochs"),
        _STAGE + "epochs",
    ),
    **dict.fromkeys(("imgsz", "img_size", "input_size", "image_size", "resolution"), "data.image_size"),
    **dict.fromkeys(
        ("batch", "micro_batch_size", "global_batch_size", "train_batch_size",
         "per_device_train_batch_size", "batch_size"),
        "data.batch_size",
    ),
    **dict.fromkeys(
        ("lr_scheduler", "sched", "scheduler", "lr_scheduler_type", "learning_rate_scheduler",
         "lr_schedule", "schedule"),
        _STAGE + "schedule",
    ),
    **dict.fromkeys(
        ("warmup", "num_warmup_steps", "warmup_ratio", "warmup_steps", "warmup_fraction",
         "warmup_epochs"),
        _STAGE + "schedule: {cosine: {warmup_epochs: ...}}",
    ),
    **dict.fromkeys(
        ("freeze", "frozen_stages", "freeze_backbone", "do_fine_tuning", "train_whole_model",
         "layers_to_freeze_regex", "trainable", "unfreeze", "policy"),
        _STAGE + "policy",
    ),
    **dict.fromkeys(("lr_mult", "head_lr_mult", "head_multiplier"), _STAGE + "head_multiplier"),
    **dict.fromkeys(("lr_mults", "rate_multipliers"), _STAGE + "rate_multipliers"),
    **dict.fromkeys(("lr_decay", "layer_decay"), _STAGE + "layer_decay"),
    **dict.fromkeys(
        ("clip_grad", "clip_grad_norm", "max_grad_norm", "grad_clip_norm", "gradient_clip_val",
         "gradient_clipping", "clipnorm", "global_clipnorm"),
        _STAGE + "global_clipnorm",
    ),
    **dict.fromkeys(
        ("gradient_accumulation", "grad_accum_steps", "accumulate_grad_batches",
         "gradient_accumulation_steps"),
        _STAGE + "gradient_accumulation_steps",
    ),
    **dict.fromkeys(
        ("amp", "fp16", "bf16", "precision", "mixed_precision_dtype", "mixed_precision"),
        "finetune.mixed_precision",
    ),
    **dict.fromkeys(
        ("patience", "early_stop", "early_stopping_patience", "early_stopping"),
        "finetune.early_stopping: {patience: ...}",
    ),
    **dict.fromkeys(
        ("model_ema", "use_ema", "ema_momentum", "model_ema_decay", "ema_decay", "ema"),
        "finetune.ema: {momentum: ...}",
    ),
    **dict.fromkeys(
        ("smoothing", "label_smoothing"), "finetune.loss: {cross_entropy: {label_smoothing: ...}}"
    ),
    **dict.fromkeys(
        ("val_set_size", "valid_split", "validation_split", "valid_pct", "val_split"),
        "data.split.val",
    ),
    **dict.fromkeys(("weight_decay_rate", "wd", "decay", "weight_decay"),
                    _STAGE + "optimizer: {adamw: {weight_decay: ...}}"),
    **dict.fromkeys(("optim", "opt", "optimizer"), _STAGE + "optimizer"),
    **dict.fromkeys(("momentum", "nesterov"), _STAGE + "optimizer: {sgd: {momentum: ...}}"),
    **dict.fromkeys(("dropout", "drop_rate", "dropout_rate"), "model.head: {linear: {dropout: ...}}"),
    **dict.fromkeys(("image_dir", "data_dir", "dataset", "train_dir", "data_path", "source"),
                    "data.source"),
    **dict.fromkeys(("architecture", "arch", "encoder", "model_name", "base_model", "backbone"),
                    "model.backbone"),
    **dict.fromkeys(("pretrained", "pretrained_path", "init_checkpoint", "initial_checkpoint",
                     "weights"), "model.weights"),
    **dict.fromkeys(("augmentation", "augmentations", "transforms"), "augment"),
    **dict.fromkeys(("random_seed", "seed_everything"), "seed"),
    **dict.fromkeys(("class_weights", "cls_pw", "class_weight"), "finetune.class_weight"),
    **dict.fromkeys(("loss_fn", "criterion", "loss"), "finetune.loss"),
    **dict.fromkeys(("stages",), "finetune.stages"),
    **dict.fromkeys(("max_accuracy_drop",), "max_metric_drop"),
    **dict.fromkeys(("output_dir", "work_dir", "model_dir", "project"), "the option --run-dir"),
}  # fmt: skip
