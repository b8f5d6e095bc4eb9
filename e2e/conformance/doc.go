// Package conformance runs specs of the Kubernetes end-to-end suite, unchanged and from the module k8s.io/kubernetes, against
// kube-apiserver and against Gatehouse in the same set-up. There are two: an etcd, the server and the real kube-controller-manager
// without nodes; and a whole control plane as kubeadm starts it, with nodes by kwok. Only specs that need no containers are of use
// there. What passes on kube-apiserver has to pass on Gatehouse.
package conformance
