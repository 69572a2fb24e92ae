--- process -- any program: a service says itself what it runs.
return {}
