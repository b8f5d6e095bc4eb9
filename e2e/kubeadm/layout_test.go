package kubeadm_test

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse/gatehouse/e2e/kubeadm"
)

// TestFlagsOfTheAPIServer guards against a kubeadm that passes other flags than those that were looked at.
func TestFlagsOfTheAPIServer(t *testing.T) {
	dir := t.TempDir()
	layout, err := kubeadm.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, arg := range layout.Commands["kube-apiserver"] {
		name, value, ok := strings.Cut(arg, "=")
		if !ok {
			t.Errorf("%s is not a flag with a value", arg)
		}
		names = append(names, name)
		if strings.HasSuffix(name, "-file") && !strings.HasPrefix(value, filepath.Join(dir, "pki")) {
			t.Errorf("%s is not below %s", arg, dir)
		}
	}
	slices.Sort(names)
	want := []string{
		"--advertise-address", "--allow-privileged", "--authorization-mode", "--bind-address", "--client-ca-file",
		"--enable-admission-plugins", "--enable-bootstrap-token-auth", "--etcd-cafile", "--etcd-certfile", "--etcd-keyfile",
		"--etcd-servers", "--kubelet-client-certificate", "--kubelet-client-key", "--kubelet-preferred-address-types",
		"--proxy-client-cert-file", "--proxy-client-key-file", "--requestheader-allowed-names", "--requestheader-client-ca-file",
		"--requestheader-extra-headers-prefix", "--requestheader-group-headers", "--requestheader-username-headers",
		"--secure-port", "--service-account-issuer", "--service-account-key-file", "--service-account-signing-key-file",
		"--service-cluster-ip-range", "--tls-cert-file", "--tls-private-key-file",
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("flags of kube-apiserver (-want +got):\n%s", diff)
	}
}

func TestFilesExist(t *testing.T) {
	layout, err := kubeadm.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"apiserver", "apiserver-kubelet-client", "apiserver-etcd-client", "front-proxy-client", "etcd/server"} {
		if _, err := tls.LoadX509KeyPair(layout.File("pki/"+name+".crt"), layout.File("pki/"+name+".key")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"pki/sa.pub", "pki/sa.key", kubeadm.Admin, kubeadm.SuperAdmin, "controller-manager.conf", "scheduler.conf"} {
		if _, err := os.Stat(layout.File(name)); err != nil {
			t.Error(err)
		}
	}
}
