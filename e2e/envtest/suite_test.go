package envtest_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

const patience = 20 * time.Second

// The environment is shared by all tests, as in most projects.
var (
	env    *envtest.Environment
	config *rest.Config
)

func TestMain(m *testing.M) {
	if os.Getenv("KUBEBUILDER_ASSETS") == "" && os.Getenv("TEST_ASSET_KUBE_APISERVER") == "" {
		fmt.Println("KUBEBUILDER_ASSETS is not set: TestEnvtest of the module e2e sets it")
		return
	}
	ctrl.SetLogger(klog.Background())
	os.Exit(run(m))
}

func run(m *testing.M) (code int) {
	env = &envtest.Environment{}
	began := time.Now()
	var err error
	if config, err = env.Start(); err != nil {
		fmt.Println("start:", err)
		return 1
	}
	fmt.Printf("started in %s\n", time.Since(began).Round(time.Millisecond))
	defer func() {
		began := time.Now()
		if err := env.Stop(); err != nil {
			fmt.Println("stop:", err)
			code = 1
		}
		fmt.Printf("stopped in %s\n", time.Since(began).Round(time.Millisecond))
	}()
	return m.Run()
}

// direct is a client that reads from the server.
func direct(t *testing.T) client.Client {
	t.Helper()
	c, err := client.New(config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// namespace makes one for the test. envtest has no controllers that would delete it.
func namespace(t *testing.T) string {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}}
	if err := direct(t).Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	return ns.Name
}

// manager makes one that serves nothing.
func manager(t *testing.T, options ctrl.Options) ctrl.Manager {
	t.Helper()
	options.Metrics = metricsserver.Options{BindAddress: "0"}
	mgr, err := ctrl.NewManager(config, options)
	if err != nil {
		t.Fatal(err)
	}
	return mgr
}

// started runs the manager until the test ends or stop is called, which waits for its end.
func started(t *testing.T, mgr ctrl.Manager) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("manager: %v", err)
		}
	}
	t.Cleanup(stop)
	return stop
}

// eventually polls until done returns nil.
func eventually(t *testing.T, done func() error) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := done()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not within %s: %v", patience, err)
		}
	}
}
