"""Deploy and undeploy in order."""
