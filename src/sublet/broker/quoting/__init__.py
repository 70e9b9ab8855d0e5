"""From a job to quotes on our own fleet: what we have, at our prices, with the time that the estimator says."""
