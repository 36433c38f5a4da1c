"""A service over HTTP that transforms and inverts rows with fitted models; needs the extra `serve`."""
