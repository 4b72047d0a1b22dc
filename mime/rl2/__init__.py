"""RL2: a recurrent policy that learns within its trials (Duan et al. 2016, arXiv 1611.02779)."""
