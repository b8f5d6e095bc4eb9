// Command kube-scheduler is the upstream Kubernetes scheduler, unchanged. The tests of a whole cluster run beside it.
package main

import (
	"os"

	"k8s.io/component-base/cli"
	"k8s.io/kubernetes/cmd/kube-scheduler/app"
)

func main() {
	os.Exit(cli.Run(app.NewSchedulerCommand()))
}
