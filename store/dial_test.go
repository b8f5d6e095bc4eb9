package store_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse/gatehouse/store"
	"github.com/gatehouse/gatehouse/store/storetest"
)

func TestDialRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "not-pem")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	servers := []string{"https://127.0.0.1:1"}
	for _, c := range []struct {
		name string
		o    store.DialOptions
		want string
	}{
		{"no servers", store.DialOptions{}, "no servers"},
		{"a CA file that is missing", store.DialOptions{Servers: servers, CAFile: "/none"}, "etcd CA: open /none"},
		{"a CA file without a certificate", store.DialOptions{Servers: servers, CAFile: file}, "no PEM certificate"},
		{"a certificate without a key", store.DialOptions{Servers: servers, CertFile: file}, "only one is given"},
		{"a key without a certificate", store.DialOptions{Servers: servers, KeyFile: file}, "only one is given"},
		{"a certificate that is none", store.DialOptions{Servers: servers, CertFile: file, KeyFile: file}, "etcd client certificate"},
	} {
		t.Run(c.name, func(t *testing.T) {
			client, err := store.Dial(c.o)
			if err == nil {
				_ = client.Close()
				t.Fatal("accepted")
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %q, want %q", err, c.want)
			}
		})
	}
}

func TestDialReadsTheCertificateForEachConnection(t *testing.T) {
	external := storetest.StartExternal(t)
	o := external.Options()
	dir := t.TempDir()
	link := func(target string) string {
		path := filepath.Join(dir, filepath.Base(target))
		if err := os.Symlink(target, path); err != nil {
			t.Fatal(err)
		}
		return path
	}
	other := storetest.StartExternal(t).Options() // a certificate that the first server does not trust
	cert, key := o.CertFile, o.KeyFile
	o.CertFile, o.KeyFile = link(other.CertFile), link(other.KeyFile)
	client, err := store.Dial(o)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for from, to := range map[string]string{o.CertFile: cert, o.KeyFile: key} {
		if err := os.Remove(from); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(to, from); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := store.NewEtcd(client, prefix).Revision(t.Context()); err != nil {
		t.Errorf("after the renewal: %v", err)
	}
}
