package kubectlsuite_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gatehouse/gatehouse/e2e/cluster"
)

const (
	// startTimeout bounds the start of one component, build included.
	startTimeout = 15 * time.Minute
	stopTimeout  = 20 * time.Second
)

// flags are what the scripts start an API server with, for both, but for the authorizer AlwaysAllow, which turns anonymous requests off:
// drive.sh binds a role to everybody instead.
func flags(root string) []string {
	data := filepath.Join(root, "hack", "testdata")
	return []string{
		"--client-ca-file=" + filepath.Join(data, "ca", "ca.crt"), "--token-auth-file=" + filepath.Join(data, "auth-tokens.csv"),
		"--enable-admission-plugins=LimitRanger,ResourceQuota", "--disable-admission-plugins=DefaultStorageClass," +
			"DefaultTolerationSeconds,MutatingAdmissionWebhook,ValidatingAdmissionWebhook,StorageObjectInUseProtection",
	}
}

func startReference(t *testing.T, root string) *cluster.Server {
	t.Helper()
	s, err := cluster.StartKubeAPIServer(starting(t), t.TempDir(), cluster.APIServerOptions{EtcdURL: startEtcd(t), Args: flags(root)})
	if err != nil {
		t.Fatal(err)
	}
	return withControllers(t, s, root)
}

func startGatehouse(t *testing.T, root string) *cluster.Server {
	t.Helper()
	dir := t.TempDir()
	s, err := cluster.StartGatehouse(starting(t), dir, cluster.GatehouseOptions{
		DataDir: filepath.Join(dir, "data"), EtcdURL: startEtcd(t),
		Args: append([]string{"--profile=compatible", "--bind-address=127.0.0.1", "--cert-dir=", "--authorization-mode=Node,RBAC"}, flags(root)...),
	})
	if err != nil {
		t.Fatal(err)
	}
	return withControllers(t, s, root)
}

func startEtcd(t *testing.T) string {
	t.Helper()
	etcd, err := cluster.StartEtcd(starting(t), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	closing(t, etcd.Close)
	return etcd.URL
}

// withControllers starts a controller manager with the administrator's token: an authority of the scripts' own is in the place
// of the one that the administrator's certificate is from.
func withControllers(t *testing.T, s *cluster.Server, root string) *cluster.Server {
	t.Helper()
	closing(t, s.Close)
	s.Kubeconfig = filepath.Join(t.TempDir(), "admin.kubeconfig")
	text := `{"apiVersion":"v1","kind":"Config","current-context":"c","users":[{"name":"u","user":{"token":"admin-token"}}],` +
		`"clusters":[{"name":"l","cluster":{"server":"` + s.URL + `","insecure-skip-tls-verify":true}}],"contexts":[{"name":"c","context":{"cluster":"l","user":"u"}}]}`
	if err := os.WriteFile(s.Kubeconfig, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ca := filepath.Join(root, "hack", "testdata", "ca")
	p, err := cluster.StartControllerManager(starting(t), t.TempDir(), cluster.ControllerManagerOptions{
		Server: s, RootCA: filepath.Join(ca, "ca.crt"),
		Args: []string{"--cluster-signing-cert-file=" + filepath.Join(ca, "ca.crt"), "--cluster-signing-key-file=" + filepath.Join(ca, "ca.key")},
	})
	if err != nil {
		t.Fatal(err)
	}
	closing(t, func() error { return p.Stop(stopTimeout) })
	return s
}

func starting(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	t.Cleanup(cancel)
	return ctx
}

func closing(t *testing.T, end func() error) {
	t.Cleanup(func() {
		if err := end(); err != nil {
			t.Error(err)
		}
	})
}
