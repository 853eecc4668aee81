# The actions by the names that Python builds a program with.

cdef dict ACTIONS = {}  # name -> address of the action


cdef void register(str name, action run):
    ACTIONS[name] = <size_t>run


register("exp", run_exp)
register("relu", run_relu)
register("leaky_relu", run_leaky_relu)
register("elu", run_elu)
register("selu", run_selu)
register("tanh", run_tanh)
register("sigmoid", run_sigmoid)
register("softmax", run_softmax)
register("log_softmax", run_log_softmax)
register("relu_backward", run_relu_backward)
register("leaky_relu_backward", run_leaky_relu_backward)
register("elu_backward", run_elu_backward)
register("selu_backward", run_selu_backward)
register("tanh_backward", run_tanh_backward)
register("sigmoid_backward", run_sigmoid_backward)
register("softmax_backward", run_softmax_backward)
register("log_softmax_backward", run_log_softmax_backward)
register("scaled", run_scaled)
register("dropout_scale", run_dropout_scale)
register("squared_error", run_squared_error)
register("times_share", run_times_share)
register("soft_loss", run_soft_loss)
register("soft_gradient", run_soft_gradient)
register("picked", run_picked)
register("label_gradient", run_label_gradient)
register("wrong", run_wrong)

cdef set ELEMENTWISE = {name + end for name in ("relu", "leaky_relu", "elu", "selu", "tanh", "sigmoid")
                        for end in ("", "_backward")}

# Actions whose number is a sum over the batch
cdef set SERIAL = {"squared_error", "soft_loss", "picked", "wrong"}

# Actions that read the labels, and those with a second operand
cdef set LABELLED = {"picked", "label_gradient", "wrong"}
cdef set BINARY = {"scaled", "squared_error", "soft_loss", "soft_gradient"} | {
    name for name in ACTIONS if name.endswith("_backward")}
