package conformance_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/gatehouse/gatehouse/e2e/cluster"
	"github.com/gatehouse/gatehouse/e2e/kubeadm"
)

// masters is the group that may do everything.
const masters = "system:masters"

// nodeNames are kwok's nodes. Specs spread pods over several, and fill one.
var nodeNames = [...]string{"node-a", "node-b"}

// startReferenceCluster starts a cluster as kubeadm would.
func startReferenceCluster(t *testing.T) *cluster.Server {
	t.Helper()
	return startCluster(t, build(t, cluster.KubeAPIServer))
}

// startGatehouseCluster starts the same cluster, the program aside. Its name makes Gatehouse take its compatible profile.
func startGatehouseCluster(t *testing.T) *cluster.Server {
	t.Helper()
	program, err := os.ReadFile(build(t, cluster.Gatehouse))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), string(cluster.KubeAPIServer))
	if err := os.WriteFile(path, program, 0o700); err != nil {
		t.Fatal(err)
	}
	return startCluster(t, path)
}

// startCluster starts a control plane with kubeadm's arguments, kwok as the kubelets, and nodes.
func startCluster(t *testing.T, apiServer string) *cluster.Server {
	t.Helper()
	dir := t.TempDir()
	layout, err := kubeadm.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	component(t, layout, cluster.Etcd)
	p, err := cluster.StartProcess(dir, filepath.Join(dir, "apiserver.log"), apiServer, layout.Commands[string(cluster.KubeAPIServer)]...)
	if err != nil {
		t.Fatal(err)
	}
	// kube-apiserver would wait a minute for its watchers.
	closing(t, p, func() error { p.Kill(); return nil })
	if err := cluster.WaitReady(starting(t), p, layout.APIServerURL, "/readyz"); err != nil {
		t.Fatal(err)
	}
	component(t, layout, cluster.KubeControllerManager)
	component(t, layout, cluster.KubeScheduler)
	startKubelets(t, layout)
	s := &cluster.Server{Process: p, URL: layout.APIServerURL, Kubeconfig: layout.File(kubeadm.SuperAdmin)}
	joinNodes(t, s)
	publishClusterInfo(t, s)
	return s
}

// publishClusterInfo makes what kubeadm leaves for those who join, for the controller manager to sign with the bootstrap tokens.
func publishClusterInfo(t *testing.T, s *cluster.Server) {
	t.Helper()
	config, err := s.Config()
	if err != nil {
		t.Fatal(err)
	}
	info, err := clientcmd.Write(clientcmdapi.Config{Clusters: map[string]*clientcmdapi.Cluster{
		"": {Server: config.Host, CertificateAuthorityData: config.CAData},
	}})
	if err != nil {
		t.Fatal(err)
	}
	published := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "cluster-info"}, Data: map[string]string{"kubeconfig": string(info)},
	}
	maps := kubernetes.NewForConfigOrDie(config).CoreV1().ConfigMaps(metav1.NamespacePublic)
	if _, err := maps.Create(t.Context(), published, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// patience is added to the arguments of controllers. They end when they cannot renew their lease for 10 seconds, which happens on a busy machine, and
// nobody starts them again.
var patience = []string{"--leader-elect-lease-duration=150s", "--leader-elect-renew-deadline=120s"}

// component starts one of the programs that kubeadm starts as it does.
func component(t *testing.T, layout *kubeadm.Layout, program cluster.Program) {
	t.Helper()
	name, bin := string(program), build(t, program)
	args := layout.Commands[name]
	if program != cluster.Etcd {
		args = append(slices.Clone(args), patience...)
	}
	p, err := cluster.StartProcess(layout.Dir, filepath.Join(layout.Dir, name+".log"), bin, args...)
	if err != nil {
		t.Fatal(err)
	}
	closing(t, p, func() error { return p.Stop(stopTimeout) })
	url := layout.HealthURLs[name]
	i := strings.LastIndex(url, "/")
	if err := cluster.WaitReady(starting(t), p, url[:i], url[i:]); err != nil {
		t.Fatal(err)
	}
}

func startKubelets(t *testing.T, layout *kubeadm.Layout) {
	t.Helper()
	build(t, cluster.Kwok)
	kubeconfig, err := layout.Kubeconfig("kwok", "kwok", masters)
	if err != nil {
		t.Fatal(err)
	}
	cert, key, err := layout.Serving("kwok")
	if err != nil {
		t.Fatal(err)
	}
	p, err := cluster.StartKwok(starting(t), layout.Dir, cluster.KwokOptions{Kubeconfig: kubeconfig, CertFile: cert, KeyFile: key})
	if err != nil {
		t.Fatal(err)
	}
	closing(t, p, func() error { return p.Stop(stopTimeout) })
}

// joinNodes makes the nodes and waits until pods can be put on them.
func joinNodes(t *testing.T, s *cluster.Server) {
	t.Helper()
	config, err := s.Config()
	if err != nil {
		t.Fatal(err)
	}
	nodes := kubernetes.NewForConfigOrDie(config).CoreV1().Nodes()
	for _, name := range nodeNames {
		labels := map[string]string{corev1.LabelHostname: name, corev1.LabelOSStable: "linux", corev1.LabelArchStable: "amd64"}
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
		if _, err := nodes.Create(t.Context(), node, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	usable := func(ctx context.Context) (bool, error) {
		list, err := nodes.List(ctx, metav1.ListOptions{})
		if err != nil {
			return false, err
		}
		for _, node := range list.Items {
			if len(node.Spec.Taints) != 0 || len(node.Status.Conditions) == 0 {
				return false, nil
			}
		}
		return true, nil
	}
	if err := wait.PollUntilContextTimeout(t.Context(), pollEvery, startTimeout, true, usable); err != nil {
		t.Fatalf("nodes do not become ready: %v", err)
	}
}

func build(t *testing.T, p cluster.Program) string {
	t.Helper()
	path, err := cluster.Build(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	return path
}
