// Command kube-controller-manager is the upstream Kubernetes controller manager, unchanged. Conformance specs run
// beside it, since many of them wait for what controllers do.
package main

import (
	"os"

	"k8s.io/component-base/cli"
	"k8s.io/kubernetes/cmd/kube-controller-manager/app"
)

func main() {
	os.Exit(cli.Run(app.NewControllerManagerCommand()))
}
