"""What users of other libraries import or call, where that is no other name of a member.

Messages propose what is on the right; names of members are in `motet.other_names`.
"""

CLASSES = {
    # a framework for several modalities
    "TaskConfig": "a task, such as motet.tasks.Classification(name, classes=3)",
    "SharedEncoder": "motet.encoders.Encoder, to subclass",
    "MultiModalEncoder": "motet.MultiTaskModel(encoders={name: module}, fusion='attention', "
    "tasks=tasks)",
    "HierarchicalEncoder": "motet.MultiTaskModel(encoders={name: module}, fusion={'type': "
    "'hierarchical', 'groups': {group: [name, ...]}}, tasks=tasks)",
    "MultiHeadAttentionFusion": "motet.encoders.fusion.Attention, or fusion='attention' of "
    "motet.MultiTaskModel",
    "GatingFusion": "motet.encoders.fusion.Gating, or fusion='gating' of motet.MultiTaskModel",
    "CustomHead": "motet.tasks.CustomHead, or head=module of a task",
    "TaskHead": "motet.tasks.TaskHead",
    "LossBalancer": "motet.balancing.create('manual', tasks) for fixed weights, "
    "motet.balancing.create('uncertainty', tasks) for learned ones",
    "MultiTaskModelFactory": "motet.MultiTaskModel.from_config, and motet.register for your "
    "own members",
    "MultiTaskTrainer": "motet.Trainer",
    "BackwardsCompatibilityWrapper": "motet.migrate(module, task, example), and model.facade()",
    "ProgressiveMigrationBuilder": "motet.migration.add_tasks",
    # a toolkit on arrays
    "create_hard_sharing_model": "motet.MultiTaskModel(encoder, tasks)",
    "create_soft_sharing_model": "motet.MultiTaskModel(encoder, tasks, "
    "sharing=motet.sharing.create('soft'))",
    "MultiTaskLoss": "motet.balancing.create('manual', tasks, weights={task: weight})",
    "MultiTaskMetrics": "motet.TaskMetrics",
    "create_multitask_dataloader": "motet.Trainer.fit((inputs, {task: targets})), which makes the "
    "batches",
    # a framework of configs
    "MTLConfig": "motet.Config",
    "MTLArchitecture": "motet.sharing.create('mmoe'), or model: {sharing: {type: mmoe}}",
    "LossBalancingStrategy": "motet.balancing.create('dwa', tasks), or balancing: {type: dwa}",
    "TaskBalancedSampling": "motet.scheduling.create('task_balanced', tasks)",
    "FocalLoss": "motet.balancing.create('focal', tasks), or loss='focal' of "
    "motet.tasks.Classification",
    "MetaLearning": "motet.balancing.create('meta', tasks)",
    "TaskType": "the type of a task, such as motet.tasks.Regression, or type: regression",
    "TaskPriority": "priority='high' of a task: low, normal, high or critical",
    "AuxiliaryTaskConfig": "an auxiliary task, such as motet.tasks.MaskedLanguageModelling(name)",
    "AuxiliaryTaskFrequency": "frequency={'every': 10} of an auxiliary task",
    "TaskClusteringConfig": "motet.sharing.create('soft', groups={'by': 'gradients', 'number': 2})",
    "TaskSchedulingStrategy": "scheduling='round_robin' of motet.Trainer, or scheduling: "
    "round_robin",
    "MultiTaskLearningTrainer": "motet.Trainer",
    "TaskBatch": "a batch {'inputs': inputs, 'targets': {task: targets}}",
    "GradientStats": "motet.Trainer.statistics()['gradients']",
    "MultiTaskOutput": "the outputs by task, {task: tensor}, of motet.MultiTaskModel",
    "MultiTaskEvaluation": "motet.training.Report, of motet.Trainer.evaluate",
    "MTLStats": "motet.Trainer.statistics()",
    "hard_parameter_sharing_config": "motet.config.hard_sharing",
    "soft_parameter_sharing_config": "motet.config.soft_sharing",
    "mmoe_config": "motet.config.mmoe_sharing",
    "classification_task": "motet.config.classification_task",
    "regression_task": "motet.config.regression_task",
    "mlm_auxiliary_task": "motet.config.masked_language_modelling_task",
    "compute_task_similarity": "motet.analysis.similarity",
    "compute_correlation": "motet.analysis.correlation",
    "analyze_mtl_effectiveness": "motet.analysis.transfer, or motet.compare",
    # notes on multi-task learning
    "grad_norm_loss": "motet.balancing.create('gradient_ratio', tasks, form='pair')",
    # multi-task transformers
    "SentenceTransformer": "motet.encoders.Transformer(vocabulary)",
    "create_padding_mask": "motet.encoders.create_padding_mask",
    "MultitaskTransformer": "motet.MultiTaskModel(motet.encoders.Transformer(vocabulary), tasks)",
    "MultitaskLoss": "motet.balancing.create('manual', tasks, weights={task: weight})",
    "MultitaskDataset": "motet.data.from_texts",
    "train_model": "motet.Trainer(model).fit(train, validation)",
}
"""By the name of a class or function of another library: what does the same here."""

METHODS = {
    "Trainer": {
        "get_task_weights": "statistics()['weights']",
        "get_task_uncertainties": "balancer.uncertainties()",
        "get_uncertainties": "balancer.uncertainties()",
        "validate": "evaluate(data)",
        "train": "fit(data, validation, epochs=20)",
        "train_multi_task_step": "train_step(batch)",
        "evaluate_all_tasks": "evaluate(data)",
        "get_mtl_stats": "statistics()",
    },
    "TaskMetrics": {"compute_task_metric": "compute(task)"},
    "Facade": {"set_primary_task": "primary = task", "get_all_outputs": "all(inputs)"},
}
"""By class: by the name of a method of another library, what does the same here."""
