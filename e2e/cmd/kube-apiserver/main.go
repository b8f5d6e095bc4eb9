// Command kube-apiserver is the upstream Kubernetes API server, unchanged. The
// stories ask it the same questions as Gatehouse, and the benchmark measures it
// beside Gatehouse.
package main

import (
	"os"

	"k8s.io/component-base/cli"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
)

func main() {
	os.Exit(cli.Run(app.NewAPIServerCommand()))
}
