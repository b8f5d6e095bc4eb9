// Package cluster builds and runs the real programs that the stories and the
// benchmarks need: etcd, kube-apiserver, kubectl and Gatehouse itself.
//
// Every program is built from Go modules, listens on loopback only and is ended
// by its own pid. Nothing is downloaded except modules. Each server gets a
// directory from its caller and leaves its log there. The package is for tests:
// keys are unencrypted files and ports are taken from a moment's observation,
// so a start may fail when another process takes the port first.
package cluster
