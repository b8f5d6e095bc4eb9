package e2e_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/gatehouse/gatehouse/e2e/cluster"
)

// scriptsLimit is when scripts that hang are interrupted, so that they show where.
const scriptsLimit = 3 * time.Minute

// TestStories runs the scripts that start Gatehouse themselves, as a newcomer
// would, and type the real kubectl at it.
func TestStories(t *testing.T) {
	bin := build(t, cluster.Gatehouse, cluster.Kubectl, cluster.Etcd)
	testscript.Run(t, testscript.Params{
		Dir:      "testdata/script",
		Setup:    func(env *testscript.Env) error { return prepare(env, bin) },
		Cmds:     commands(),
		Deadline: time.Now().Add(scriptsLimit),
	})
}

// TestKubectl runs the scripts that are true of any Kubernetes API server. They
// run against kube-apiserver as well, so that a script cannot ask for something
// Kubernetes does not do.
func TestKubectl(t *testing.T) {
	bin := build(t, cluster.Kubectl)
	servers := map[string]func(*testing.T) *cluster.Server{
		"kube-apiserver": func(t *testing.T) *cluster.Server {
			s, _ := startKube(t)
			return s
		},
		"gatehouse": func(t *testing.T) *cluster.Server {
			// Nothing fills namespaces beside kube-apiserver either, and the scripts list all that is in theirs.
			return startGatehouse(t, cluster.GatehouseOptions{Args: []string{"--standalone-loops=false"}})
		},
	}
	for name, start := range servers {
		t.Run(name, func(t *testing.T) {
			server := start(t)
			testscript.Run(t, testscript.Params{
				Dir: "testdata/kubectl",
				Setup: func(env *testscript.Env) error {
					if err := prepare(env, bin); err != nil {
						return err
					}
					return ownKubeconfig(env, server.Kubeconfig)
				},
				Cmds:     commands(),
				Deadline: time.Now().Add(scriptsLimit),
			})
		})
	}
}

// prepare puts the built programs first on the PATH and keeps kubectl's caches
// inside the script's own directory.
func prepare(env *testscript.Env, bin string) error {
	env.Setenv("PATH", bin+string(filepath.ListSeparator)+env.Getenv("PATH"))
	env.Setenv("HOME", filepath.Join(env.WorkDir, ".home"))
	return nil
}

// ownKubeconfig gives a script a copy of the administrator's kubeconfig, since
// scripts run at the same time and change it. $CLUSTER names the server in it.
func ownKubeconfig(env *testscript.Env, original string) error {
	cfg, err := clientcmd.LoadFromFile(original)
	if err != nil {
		return fmt.Errorf("load the administrator's kubeconfig: %w", err)
	}
	current, ok := cfg.Contexts[cfg.CurrentContext]
	if !ok {
		return fmt.Errorf("%s has no current context", original)
	}
	env.Setenv("CLUSTER", current.Cluster)
	if err := clientcmd.ResolveLocalPaths(cfg); err != nil {
		return fmt.Errorf("resolve paths of %s: %w", original, err)
	}
	if err := clientcmdapi.FlattenConfig(cfg); err != nil {
		return fmt.Errorf("read the files %s names: %w", original, err)
	}
	mine := filepath.Join(env.WorkDir, ".kubeconfig")
	env.Setenv("KUBECONFIG", mine)
	return clientcmd.WriteToFile(*cfg, mine)
}
