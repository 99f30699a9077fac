from motet.balancing.solvers.cones import min_norm_point, project_on_dual_cone
