// Package e2e tells the stories of the README and of the threat model with the
// real kubectl against a real Gatehouse process, and asks the real
// kube-apiserver the same questions.
//
// It is a module of its own so that Gatehouse does not depend on
// k8s.io/kubernetes. It holds tests only; package cluster below it starts the
// processes.
package e2e
