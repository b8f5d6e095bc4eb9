// Package wholecluster runs a whole cluster on one machine: etcd, an API server with the flags that kubeadm gives it,
// kube-controller-manager, kube-scheduler and kwok in place of kubelets, all unmodified, and tells it a story by kubectl: what
// people do with a cluster, in order.
//
// GATEHOUSE_CLUSTER says which API servers the story is told to, comma-separated: gatehouse, embedded (Gatehouse with the etcd
// inside it, and a shorter story) and kube-apiserver, on which a step that fails is a bad step. Without it nothing runs here.
package wholecluster
