package wholecluster_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse/gatehouse/e2e/cluster"
	"github.com/gatehouse/gatehouse/e2e/kubeadm"
)

const (
	// startTimeout bounds the start of one component on a busy machine, build excluded.
	startTimeout = 2 * time.Minute
	stopTimeout  = 20 * time.Second
	// referenceGrace is what kube-apiserver gets.
	referenceGrace = 2 * time.Second
)

// whole is a cluster. It is used by one goroutine.
type whole struct {
	kind    string
	layout  *kubeadm.Layout
	dir     string
	kubectl string
	env     []string // of kubectl, beside what it needs

	// apiServer is the program and its arguments, by which it is started again.
	apiServer []string
	server    *cluster.Process
	// others are the components that have to live through everything.
	others []*cluster.Process
	// etcd tells whether what is stored can be looked at.
	etcd bool
	// containerLog is the file that every container has as its log.
	containerLog string
}

// start brings a cluster up, the control plane only. The controller manager and the scheduler get further flags.
func start(t *testing.T, kind string, further ...string) *whole {
	t.Helper()
	w := &whole{kind: kind, dir: t.TempDir(), etcd: kind != embedded}
	w.kubectl = build(t, cluster.Kubectl)
	var err error
	if w.layout, err = kubeadm.New(w.dir); err != nil {
		t.Fatal(err)
	}
	if w.etcd {
		w.component(t, cluster.Etcd)
	}
	w.apiServer = w.commandLine(t, kind)
	w.startServer(t)
	t.Cleanup(func() { w.terminate(t); w.end(t, w.server) })
	w.asSuperAdmin(t, "create", "clusterrolebinding", "kubeadm:cluster-admins", "--clusterrole=cluster-admin", "--group=kubeadm:cluster-admins")
	w.component(t, cluster.KubeControllerManager, further...)
	w.component(t, cluster.KubeScheduler, further...)
	return w
}

// component starts one of the programs that kubeadm starts as it does.
func (w *whole) component(t *testing.T, p cluster.Program, further ...string) {
	t.Helper()
	name := string(p)
	process := w.process(t, p, append(slices.Clone(w.layout.Commands[name]), further...))
	base, path := splitURL(w.layout.HealthURLs[name])
	if err := cluster.WaitReady(starting(t), process, base, path); err != nil {
		t.Fatal(err)
	}
}

func (w *whole) process(t *testing.T, p cluster.Program, args []string) *cluster.Process {
	t.Helper()
	process, err := cluster.StartProcess(w.dir, filepath.Join(w.dir, string(p)+".log"), build(t, p), args...)
	if err != nil {
		t.Fatal(err)
	}
	w.others = append(w.others, process)
	t.Cleanup(func() { w.end(t, process) })
	return process
}

// startKubelets starts kwok with the rights that its own manifest gives it.
func (w *whole) startKubelets(t *testing.T) {
	t.Helper()
	build(t, cluster.Kwok)
	role, err := cluster.KwokRole(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w.run(t, "apply", "-f", role)
	w.run(t, "create", "clusterrolebinding", "kwok-controller", "--clusterrole=kwok-controller", "--user=kwok-controller")
	kubeconfig, err := w.layout.Kubeconfig("kwok", "kwok-controller")
	if err != nil {
		t.Fatal(err)
	}
	cert, key, err := w.layout.Serving("kwok")
	if err != nil {
		t.Fatal(err)
	}
	w.containerLog = filepath.Join(w.dir, "container.log")
	if err := os.WriteFile(w.containerLog, []byte(containerLog), 0o600); err != nil {
		t.Fatal(err)
	}
	process, err := cluster.StartKwok(starting(t), w.dir, cluster.KwokOptions{
		Kubeconfig: kubeconfig, CertFile: cert, KeyFile: key, LogFile: w.containerLog, ExecDir: w.dir, ForwardPort: answering(t),
	})
	if err != nil {
		t.Fatal(err)
	}
	w.others = append(w.others, process)
	t.Cleanup(func() { w.end(t, process) })
}

// startServer starts the API server, for the first time or again.
func (w *whole) startServer(t *testing.T) {
	t.Helper()
	began := time.Now()
	var err error
	if w.server, err = cluster.StartProcess(w.dir, filepath.Join(w.dir, "apiserver.log"), w.apiServer[0], w.apiServer[1:]...); err != nil {
		t.Fatal(err)
	}
	if err := cluster.WaitReady(starting(t), w.server, w.layout.APIServerURL, "/readyz"); err != nil {
		t.Fatal(err)
	}
	t.Logf("the API server was ready after %s", time.Since(began).Round(time.Millisecond))
}

// commandLine is how kubeadm would start the API server.
func (w *whole) commandLine(t *testing.T, kind string) []string {
	t.Helper()
	args := w.layout.Commands[string(cluster.KubeAPIServer)]
	switch kind {
	case reference:
		return append([]string{build(t, cluster.KubeAPIServer)}, args...)
	case external:
	case embedded:
		args = slices.DeleteFunc(args, func(arg string) bool { return strings.HasPrefix(arg, "--etcd-") })
		args = append(args, "--data-dir="+filepath.Join(w.dir, "data"))
	default:
		t.Fatalf("GATEHOUSE_CLUSTER: %q is not an API server that is known here", kind)
	}
	return append([]string{w.dropIn(t)}, args...)
}

// dropIn is Gatehouse under the name by which its profile is the compatible one. It is a copy, which a build does not replace
// before the server is started again.
func (w *whole) dropIn(t *testing.T) string {
	t.Helper()
	program, err := os.ReadFile(build(t, cluster.Gatehouse))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(w.dir, string(cluster.KubeAPIServer))
	if err := os.WriteFile(path, program, 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// end ends a component and shows the end of its log if the test failed.
func (w *whole) end(t *testing.T, p *cluster.Process) {
	if err := p.Stop(stopTimeout); err != nil {
		t.Error(err)
	}
	if keep := os.Getenv("GATEHOUSE_CLUSTER_LOGS"); keep != "" {
		keepLog(t, p.LogFile, keep)
	}
	if !t.Failed() {
		return
	}
	log, err := os.ReadFile(p.LogFile)
	const shown = 3 << 10
	t.Logf("%s ends with (%v):\n%s", filepath.Base(p.LogFile), err, log[max(0, len(log)-shown):])
}

func keepLog(t *testing.T, file, dir string) {
	log, err := os.ReadFile(file)
	if err != nil {
		t.Error(err)
	}
	name := strings.ReplaceAll(t.Name(), "/", "-") + "-" + filepath.Base(file)
	if err := os.WriteFile(filepath.Join(dir, name), log, 0o600); err != nil {
		t.Error(err)
	}
}

// allAlive fails the test if a component has ended, as those do that lose their lease.
func (w *whole) allAlive(t *testing.T) {
	t.Helper()
	for _, p := range w.others {
		select {
		case <-p.Exited():
			t.Errorf("%s ended: %v", filepath.Base(p.LogFile), p.Err())
		default:
		}
	}
}

// crash ends the API server as kill -9 does.
func (w *whole) crash() { w.server.Kill() }

// terminate ends the API server by SIGTERM, to which Gatehouse has to listen. kube-apiserver waits a minute for its watchers, in
// which the leaders would lose their leases; it is not given that long.
func (w *whole) terminate(t *testing.T) {
	t.Helper()
	if w.kind == reference {
		_ = w.server.Stop(referenceGrace) // It does not end in time.
		return
	}
	began := time.Now()
	if err := w.server.Stop(stopTimeout); err != nil {
		t.Error(err)
	}
	t.Logf("the API server ended %s after SIGTERM", time.Since(began).Round(time.Millisecond))
}

func build(t *testing.T, p cluster.Program) string {
	t.Helper()
	path, err := cluster.Build(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func starting(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	t.Cleanup(cancel)
	return ctx
}

func splitURL(url string) (base, path string) {
	i := strings.LastIndex(url, "/")
	return url[:i], url[i:]
}
