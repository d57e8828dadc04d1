"""What end-to-end tests, the crash test and the benchmarks share: starting an etcd of any make, and
speaking to it without a client library in between."""
