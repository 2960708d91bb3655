"""PDN: path-based matching (Li et al., SIGIR 2021)."""
