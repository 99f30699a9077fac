"""What users of other libraries call things: names and keys, and what they are here.

Messages propose the name on the left for those on the right. Capitals, and what is neither letter
nor digit, do not count (`plain`), so that "batchSize" or "batch-size" need no entry.
"""

from collections.abc import Mapping

Others = Mapping[str, tuple[str, ...]]
"""By another name, plain: what it may be here, the likeliest first."""


def plain(name: str) -> str:
    """Return a name without capitals and signs, to compare it with others.

    >>> plain("Batch-Size"), plain("batch_size")
    ('batchsize', 'batchsize')
    """
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def _by_other(table: Mapping[str, str]) -> Others:
    found: dict[str, tuple[str, ...]] = {}
    for name, others in table.items():
        for other in others.split():
            found[plain(other)] = (*found.get(plain(other), ()), name)
    return found


KEYS = _by_other(
    {
        # sections
        "data": "dataset datasets",
        "inputs": "features input_features predictors x",
        "tasks": "target targets label labels outputs output_features y heads task_configs "
        "task_names",
        "model": "network net",
        "balancing": "balancer balance weighting loss_weighting aggregator mtl_method "
        "loss_balancing loss_balancer balancing_strategy",
        "scheduling": "task_scheduler task_scheduling task_sampler task_sampling",
        "main": "is_main_task main_task is_main is_primary primary",
        "fusion": "combiner fusion_method fusion_type fusion_layer",
        "training": "trainer train fit train_args training_args hyperparameters params",
        # data
        "source": "path file files filename file_name data_path csv table url train_path",
        "split": "splits splitting",
        "validation": "val valid dev val_size val_split valid_size validation_size "
        "validation_split validation_fraction dev_size validation_data val_data val_dataset "
        "eval_dataset",
        "test": "test_size test_split test_fraction holdout",
        "train": "train_size train_split",
        "stratify": "stratified stratify_by",
        "column": "col field feature",
        # model
        "encoder": "backbone trunk body feature_extractor shared_encoder",
        "sharing": "architecture arch mtl_architecture sharing_type parameter_sharing",
        "task_layers": "task_specific_layers num_task_layers specific_layers",
        "shared_layers": "num_shared_layers",
        "outputs": "output_dim out_features num_outputs",
        "shared_width": "shared_head_dim shared_hidden_dim",
        "strength": "sharing_strength regularization_weight reg_weight lambda_reg",
        "regularizer": "regularization_type reg_type",
        "groups": "sharing_groups task_groups",
        "by": "method clustering_method",
        "number": "num_clusters n_clusters num_groups",
        "probability": "prob p",
        "task_embedding": "task_embedding_dim use_task_embeddings task_embeddings",
        "routers": "num_routers n_routers",
        "lateral": "lateral_connections",
        "adapters": "adapter_layers",
        "hidden": "hidden_layers hidden_sizes hidden_size hidden_dims hidden_dim hidden_units "
        "units layer_sizes hidden_layer_sizes layers n_layers num_layers fc_layers widths",
        "width": "hidden_size hidden_dim hidden_units units d_model dim embed_dim output_size "
        "routing_dim attention_dim input_dim in_features in_dim output_dim",
        "layers": "num_layers n_layers num_hidden_layers depth num_encoder_layers "
        "cross_stitch_layers",
        "heads": "num_heads n_heads nhead num_attention_heads attention_heads",
        "feedforward": "dim_feedforward ffn_dim intermediate_size",
        "embedding_width": "embedding_dim embedding_size emb_dim embed_dim embed_size",
        "activation": "act nonlinearity activation_fn activation_function",
        "dropout": "dropout_rate drop dropout_prob dropout_p p_dropout hidden_dropout_prob",
        "pool": "pooling reduce_output aggregation",
        "checkpointing": "gradient_checkpointing",
        "experts": "num_experts n_experts expert_num experts_num shared_experts num_shared_experts",
        "task_experts": "num_task_experts specific_experts experts_per_task",
        "expert_width": "expert_size expert_dim expert_hidden expert_units",
        "head": "tower towers decoder head_layers",
        # data in Python
        "labels": "classification_labels",
        "tags": "ner_labels ner_tags",
        "pad": "pad_id pad_idx pad_token_id padding_idx",
        # inputs and tasks
        "type": "name kind class method algorithm _target_ class_name task_type",
        "tokenizer": "tokeniser tokenization",
        "max_length": "max_len max_seq_length max_seq_len sequence_length seq_len",
        "vocabulary": "vocab vocab_size max_features num_words max_vocab_size most_common",
        "min_count": "min_freq min_frequency min_df",
        "lowercase": "lower do_lower_case",
        "scaling": "normalization normalisation normalize normalise scaler preprocessing",
        "loss": "loss_fn loss_function criterion objective task_losses",
        "share": "mask_prob mask_probability mask_ratio mlm_probability",
        "metrics": "metric scoring eval_metric eval_metrics metric_fns metric_fn",
        "every": "update_frequency",
        "weight": "loss_weight loss_weights task_weight task_weights weights",
        "classes": "num_classes n_classes class_names label_names n_labels num_labels "
        "num_ner_tags num_tags output_dim",
        "delta": "huber_delta",
        # balancers
        "weights": "loss_weights task_weights",
        "initial": "init_log_vars initial_log_vars log_vars",
        "kinds": "task_types",
        "window": "window_size",
        "temperature": "temp tau",
        "balancer": "loss_fn",  # of a trainer
        "reads": "dependencies depends_on",
        "class_weights": "class_weight",
        "pos_weight": "positive_weight",
        # training
        "epochs": "epoch n_epochs num_epochs max_epochs num_train_epochs n_epoch nb_epoch max_iter "
        "iterations n_iter",
        "batch_size": "batch bs per_device_train_batch_size train_batch_size minibatch_size",
        "optimizer": "optim optimiser solver optimizer_name",
        "learning_rate": "lr eta meta_lr learningrate learning_rate_init base_lr init_lr "
        "initial_lr step_size",
        "weight_decay": "wd l2 l2_regularization l2_penalty regularization decay",
        "lr_schedule": "scheduler lr_scheduler lr_scheduler_type learning_rate_schedule "
        "learning_rate_scheduler schedule",
        "warmup": "warmup_steps warmup_ratio warmup_epochs num_warmup_steps",
        "clip_norm": "gradient_clip_val gradient_clip clip grad_clip max_grad_norm clipnorm "
        "gradient_clipping clip_grad_norm clip_global_norm",
        "seed": "random_state random_seed rng",
        "device": "gpu gpus cuda use_gpu use_cuda accelerator devices",
        "precision": "dtype amp mixed_precision fp16 bf16",
        "compile": "torch_compile compiled jit",
        "deterministic": "use_deterministic_algorithms reproducible cudnn_deterministic",
        "freeze": "freeze_layers frozen_layers frozen_parts",
        "accumulate": "accumulate_grad_batches gradient_accumulation_steps gradient_accumulation "
        "grad_accum micro_batches",
        "monitor": "validation_field metric_for_best_model best_metric validation_metric watch",
        "early_stopping": "early_stop earlystopping stop_early",
        "patience": "early_stopping_patience early_stop_patience n_iter_no_change early_stop "
        "early_stopping_rounds",
        "evaluate_every": "check_val_every_n_epoch val_check_interval eval_steps eval_every "
        "eval_frequency evaluation_frequency validate_every",
        "checkpoint_every": "save_steps save_every checkpoint_steps save_frequency",
        "loggers": "logger report_to tracker trackers",
        "average": "ema swa use_ema weight_averaging",
    }
)
"""By another key, plain: the keys that it may be here."""

NOTES = {
    "usecrf": "write decoder: crf",
    "modalitydims": "widths are read from the data or from the encoders; remove it, or, without "
    "data, give each input a width",
    "modalitygroups": "write fusion: {type: hierarchical, groups: {vision: [image, video]}}",
    "taskheads": "every task has its own, such as head: {hidden: [16]}, in Python any module, too",
    "numgates": "every task has a gate of its own; remove it",
    "reduction": "losses are means over the labelled rows; remove it",
    "useauxiliarytasks": "auxiliary tasks are listed with the others, under tasks; remove it",
    "auxiliarytasks": "list them with the other tasks, such as tasks: {words: {type: "
    "masked_language_modelling, frequency: {every: 10}}}",
    "usetaskscheduling": "choose scheduling: {type: round_robin} or another type; by default all "
    "tasks train at every step; remove it",
    "taskclustering": "write model: {sharing: {type: soft, groups: {by: gradients, number: 2, "
    "every: 1}}}; groups by hand are lists of tasks",
}
"""By an option, plain, that has another form here: what to do instead, in Python too."""

NOT_IN_CONFIGS = {
    **dict.fromkeys(
        ("outputdir", "output", "savedir", "logdir", "rundir", "saveto", "checkpointdir"),
        "the run folder is given as --output FOLDER on the command line",
    ),
    **dict.fromkeys(
        ("numworkers", "workers", "njobs", "pinmemory"),
        "how rows are read needs no setting; remove it",
    ),
    "shuffle": "training rows are shuffled in every epoch; remove it",
    **dict.fromkeys(
        ("verbose", "verbosity", "loglevel"),
        "a run prints a line per epoch and writes metrics.jsonl; remove it",
    ),
    **{
        name: f"write training: {{loggers: [{name}]}}"
        for name in ("tensorboard", "mlflow", "wandb")
    },
}
"""By a key, plain, that no config has: what to do instead."""

AUXILIARY = {
    "language_modelling": "language_modeling language_model causal_lm lm",
    "masked_language_modelling": "masked_language_modeling masked_language_model masked_lm mlm",
    "next_sentence": "next_sentence_prediction nsp",
    "sentence_order": "sentence_order_prediction sop",
    "word_order": "word_order_prediction word_shuffling shuffling",
    "denoising": "denoising_autoencoder autoencoder reconstruction",
}
"""Other names of auxiliary tasks."""

MEMBERS = {
    "balancer": _by_other(
        {
            "manual": "static fixed manual_weighting static_weighting fixed_weighting "
            "fixed_weights loss_balancer",
            "equal": "ls ew linear_scalarization scalarization equal_weighting uniform "
            "sum mean average avg none unit joint erm",
            "uncertainty": "dynamic uw uncertainty_weighting uncertainty_weights homoscedastic "
            "kendall homoscedastic_uncertainty revised_uncertainty ruw",
            "dwa": "dynamic_weight_average dynamic_weight_averaging",
            "random": "rlw rgw random_loss_weighting",
            "geometric": "gls geometric_loss geometric_mean geometric_loss_strategy",
            "log": "si scale_invariant scale_invariant_mtl log_loss",
            "imtl_l": "imtl_loss",
            "imtl_g": "imtl_gradient",
            "stch": "smooth_tchebycheff tchebycheff chebyshev smooth_chebyshev",
            "focal": "dtp focal_loss dynamic_task_prioritization",
            "gradnorm": "grad_normalization gradient_normalization",
            "gradient_ratio": "grad_norm_loss gradient_norm_ratio",
            "meta": "meta_weighting meta_learning meta_learned l2t moml",
            "mgda": "mgda_ub min_norm frank_wolfe multiple_gradient_descent",
            "pcgrad": "gradient_surgery projecting_conflicting_gradients",
            "gradvac": "gradient_vaccine grad_vaccine gradvaccine",
            "graddrop": "gradient_sign_dropout grad_sign_dropout",
            "cagrad": "conflict_averse conflict_averse_gradient",
            "nash": "nash_mtl nashmtl bargaining nash_bargaining",
            "fairgrad": "alpha_fair fair",
            "aligned": "aligned_mtl alignedmtl",
            "upgrad": "jd jacobian_descent",
            "dualproj": "gem dual_cone",
            "pcd": "priority_constrained_descent",
            "conflict_free": "config config_operator conflict_free_gradient",
            "db_mtl": "dual_balancing",
            "excess": "excess_mtl excessmtl",
        }
    ),
    "sharing": _by_other(
        {
            "hard": "shared_bottom hps hard_parameter_sharing hard_sharing shared shared_trunk "
            "sharedbottom mtl",
            "soft": "sps soft_parameter_sharing soft_sharing",
            "mmoe": "moe mixture_of_experts multi_gate_mixture_of_experts multi_gate experts omoe",
            "cgc": "customized_gate_control custom_gate_control",
            "ple": "progressive_layered_extraction",
            "dselect_k": "dselect",
            "routing": "task_routing routing_network task_routing_network "
            "task_routing_networks ltb router adashare",
            "progressive": "progressive_networks pnn columns",
            "attention": "mtan multi_task_attention attention_based_sharing attention_sharing",
            "cross_stitch": "crossstitch_network cross_stitch_network cross_stitch_networks "
            "sluice nddr",
        }
    ),
    "task": _by_other(
        {
            "classification": "binary binary_classification multiclass multi_class "
            "category categorical class classifier boolean bool softmax multiclass_classification",
            "regression": "number numeric numerical real float continuous regressor scalar int",
            "multi_label": "set multilabel_classification tags multi_hot",
            "count": "counts poisson poisson_regression negative_binomial",
            "quantile": "quantiles quantile_regression pinball interval",
            "custom": "own user module other",
            "ranking": "learning_to_rank ltr lambdarank ranknet listnet rank_pairwise",
            "triplet": "metric_learning triplet_margin embedding_learning",
            "contrastive": "simclr nt_xent ntxent info_nce infonce",
            "word_regression": "token_regression sequence_regression",
            "ordinal": "ordinal_regression ordered ordinal_classification rating ranks coral",
            **AUXILIARY,
            "generation": "text_generation seq2seq sequence_generation",
            "segmentation": "semantic_segmentation",
            "pixel_regression": "depth depth_estimation",
            "sequence_labelling": "sequence_labeling ner tagging sequence_tagging tagger pos "
            "token_classification named_entity_recognition slot_filling sequence",
        }
    ),
    "auxiliary": _by_other(AUXILIARY),
    "fusion": _by_other(
        {
            "concat": "concatenation concatenate cat none",
            "attention": "multi_head_attention multihead_attention self_attention mha",
            "gating": "gated gate gmu",
            "hierarchical": "groups grouped",
            "cross_attention": "co_attention",
        }
    ),
    "scheduler": _by_other(
        {
            "all": "simultaneous joint parallel none",
            "round_robin": "alternating alternate sequential cyclic",
            "random": "uniform",
            "proportional": "size_proportional",
            "weighted": "priority priority_based weighted_sampling priority_weighted",
            "task_balanced": "task_balanced_sampling balanced balanced_sampling",
            "performance": "performance_based",
            "curriculum": "curriculum_learning",
        }
    ),
    "head": _by_other({"mlp": "linear dense fc default none"}),
    "loss": _by_other(
        {
            "cross_entropy": "ce crossentropy nll categorical_crossentropy softmax log_loss bce "
            "binary_crossentropy sparse_categorical_crossentropy binary_cross_entropy",
            "binary_cross_entropy": "bce bce_with_logits logistic sigmoid",
            "focal": "focal_loss",
            "mse": "l2 mean_squared_error squared_error l2_loss mse_loss rmse",
            "mae": "l1 mean_absolute_error absolute_error l1_loss",
            "huber": "smooth_l1 huber_loss",
            "log_cosh": "logcosh",
            "poisson": "poisson_nll poisson_nll_loss",
            "negative_binomial": "nb nb2 negbin negative_binomial_nll",
        }
    ),
    "metric": _by_other(
        {
            "accuracy": "acc accuracy_score categorical_accuracy",
            "macro_f1": "f1 f1_score f1_macro fscore f_score f1score",
            "auroc": "auc roc_auc roc rocauc roc_auc_score",
            "average_precision": "ap pr_auc prauc auprc aucpr map average_precision_score",
            "log_loss": "logloss cross_entropy nll ce neg_log_loss bce loss",
            "mae": "l1 mean_absolute_error",
            "rmse": "mse l2 mean_squared_error root_mean_squared_error",
            "r2": "r2_score r_squared rsquared coefficient_of_determination explained_variance",
            "pinball": "quantile_loss pinball_loss mean_pinball_loss",
            "coverage": "picp interval_coverage",
            "d2": "d2_score poisson_deviance d2_tweedie_score deviance",
            "kappa": "cohen_kappa quadratic_kappa qwk quadratic_weighted_kappa cohen_kappa_score",
            "span_f1": "f1 f1_score seqeval entity_f1 chunk_f1",
            "token_accuracy": "acc accuracy",
        }
    ),
    "input": _by_other(
        {
            "number": "numeric numerical float int integer real continuous double num scalar",
            "category": "categorical cat bool boolean binary string str object enum factor",
            "vector": "embedding array list floats tensor ndarray",
            "text": "txt sentence words document string_text",
            "time": "date datetime timestamp time_stamp temporal",
            "set": "tags bag multi_category list_of_categories multi_hot",
        }
    ),
    "encoder": _by_other(
        {
            "mlp": "dense fc feedforward ffn linear tabular fully_connected concat",
            "tabular_transformer": "ft_transformer fttransformer tab_transformer tabtransformer",
            "bag": "fasttext bow bag_of_words ngrams n_grams embedding_bag embeddingbag tfidf cbow "
            "average dan",
            "lstm": "bilstm rnn gru recurrent blstm",
            "transformer": "attention self_attention",
            "pretrained": "bert roberta distilbert hf huggingface hugging_face auto_transformer "
            "automodel sentence_transformer",
        }
    ),
    "optimizer": _by_other({"sgd": "momentum nesterov gd"}),
    "lr_schedule": _by_other(
        {
            "constant": "none null off fixed no const",
            "cosine": "cosine_annealing cosineannealinglr cosine_decay onecycle one_cycle "
            "cosine_with_warmup",
            "linear": "linear_decay linear_warmup linearlr polynomial",
            "step": "steplr multistep multisteplr step_decay exponential piecewise "
            "reduce_on_plateau plateau",
        }
    ),
}
"""By kind: by another name, plain, the members that it may be here."""

VALUES = {
    "device": {
        **dict.fromkeys(("gpu", "true", "1gpu", "nvidia"), "cuda"),
        **{
            f"{word}{number}": f"cuda:{number}"
            for word in ("", "gpu", "cuda")
            for number in range(8)
        },
        "metal": "mps",
        "false": "cpu",
    },
    "precision": {
        **dict.fromkeys(("bf16", "half", "mixed", "bf16mixed", "true"), "bfloat16"),
        **dict.fromkeys(("16", "fp16", "16mixed", "fp16mixed"), "float16"),
        **dict.fromkeys(("32", "fp32", "float", "full", "32true", "false"), "float32"),
    },
    "monitor": {
        **dict.fromkeys(("valloss", "validationloss", "evalloss", "devloss"), "loss"),
        **dict.fromkeys(
            ("avg", "average", "score", "all", "accuracy", "acc", "valacc", "valaccuracy", "f1"),
            "mean",
        ),
        **dict.fromkeys(("min", "worstcase"), "worst"),
    },
    "evaluate_every": {"epochs": "epoch", "everyepoch": "epoch"},
    "activation": {"swish": "silu", "leakyrelu": "leaky_relu"},
    "pool": {"avg": "mean", "average": "mean", "cls": "first", "maximum": "max"},
    "decoder": {"softmax": "linear", "bilstm": "lstm", "none": "linear"},
    "regularizer": {"trace": "trace_norm", "nuclear": "trace_norm", "lasso": "group_lasso"},
    "scheme": {"iob2": "bio", "iob": "bio", "biluo": "bioes", "bilou": "bioes", "none": "plain"},
    "scaling": {"zscore": "standard", "standardize": "standard", "bins": "piecewise"},
}
"""By key: by another value, plain, the value that it may be here."""

NONE = ("none", "null", "nil", "no", "off", "never", "false", "disable", "disabled", "")
"""Words, plain, that may stand for "none"."""
