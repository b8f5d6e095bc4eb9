// Package kubectlsuite runs Kubernetes' own integration tests of kubectl, the shell functions in test/cmd of the module k8s.io/kubernetes, against
// kube-apiserver and against Gatehouse, each with an etcd and the real kube-controller-manager, started as the scripts would start them. What passes on
// kube-apiserver has to pass on Gatehouse. The scripts come from the module cache; only what needs custom resources or the Internet is taken out of a copy.
package kubectlsuite
