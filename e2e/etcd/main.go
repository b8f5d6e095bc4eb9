// Command etcd is the upstream etcd server, unchanged. It has a module of its
// own because Kubernetes 1.36 pins an older etcd client: in one module the
// newer version would be linked into kube-apiserver as well, which would then
// no longer be what Kubernetes ships.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() {
	etcdmain.Main(os.Args)
}
