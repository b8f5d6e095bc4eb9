// Package kubeadm lays out a control plane as kubeadm does, by kubeadm's own code: its certificates, its kubeconfigs and the
// command lines that its static pods have. A server that starts with them is one that kubeadm could start.
//
// Three things are not as on a host: everything is below a directory of the caller, ports are free ones, and all listen on
// loopback, for which --bind-address is added to the API server's flags.
package kubeadm
