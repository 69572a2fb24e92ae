/* list.h -- every discovery backend, one line each: BACKEND(name) is the const backend_<name>. */
BACKEND(file)
BACKEND(env)
BACKEND(consul)
BACKEND(etcd)
BACKEND(dns)
