package pki_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/gatehouse/gatehouse/internal/pki"
)

var start = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

func at(t time.Time) func() time.Time { return func() time.Time { return t } }

func options(now time.Time) pki.Options {
	return pki.Options{
		Clock: at(now), Server: "https://127.0.0.1:6443",
		BindAddress: netip.MustParseAddr("192.0.2.7"), ServiceIP: netip.MustParseAddr("10.0.0.1"),
		ExtraNames: []string{"api.example.com", "2001:db8::1"},
	}
}

func mustEnsure(t *testing.T, dir string, opts pki.Options) *pki.Material {
	t.Helper()
	m, err := pki.Ensure(dir, opts)
	if err != nil {
		t.Fatalf("Ensure: %v", err)
	}
	return m
}

func newDir(t *testing.T) string { return filepath.Join(t.TempDir(), "data") }

func readCert(t *testing.T, path string) *x509.Certificate {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(data)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestEnsureMakesPrivateFiles(t *testing.T) {
	dir := newDir(t)
	m := mustEnsure(t, dir, options(start))
	want := map[string]fs.FileMode{
		".": 0o700, "admin.kubeconfig": 0o600, "pki": 0o700, "pki/ca.crt": 0o600, "pki/ca.key": 0o600, "pki/serving.crt": 0o600,
		"pki/serving.key": 0o600, "pki/admin.crt": 0o600, "pki/admin.key": 0o600, "pki/service-account.key": 0o600,
	}
	got := map[string]fs.FileMode{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		got[filepath.ToSlash(name)] = info.Mode().Perm()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files and modes (-want +got):\n%s", diff)
	}
	if len(m.Changed) != 5 {
		t.Errorf("Changed = %v, want the five things made", m.Changed)
	}
}

func TestServingCertificateNames(t *testing.T) {
	m := mustEnsure(t, newDir(t), options(start))
	cert := readCert(t, m.ServingCert)
	for _, name := range []string{
		"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
		"127.0.0.1", "::1", "192.0.2.7", "10.0.0.1", "api.example.com", "2001:db8::1",
	} {
		if err := cert.VerifyHostname(name); err != nil {
			t.Errorf("not valid for %s: %v", name, err)
		}
	}
	if got, want := cert.NotAfter.Sub(start), pki.LeafValidity; got != want {
		t.Errorf("valid for %v, want %v", got, want)
	}
}

func TestEnsureReusesAndRenews(t *testing.T) {
	tests := map[string]struct {
		change func(t *testing.T, m *pki.Material, o *pki.Options)
		want   []string
	}{
		"nothing to do keeps every file":  {func(*testing.T, *pki.Material, *pki.Options) {}, nil},
		"a leaf 31 days before its end":   {func(_ *testing.T, _ *pki.Material, o *pki.Options) { o.Clock = at(start.Add(334 * 24 * time.Hour)) }, nil},
		"a leaf 29 days before its end":   {func(_ *testing.T, _ *pki.Material, o *pki.Options) { o.Clock = at(start.Add(336 * 24 * time.Hour)) }, []string{"serving.crt", "admin.crt", "admin.kubeconfig"}},
		"another host name":               {func(_ *testing.T, _ *pki.Material, o *pki.Options) { o.ExtraNames = []string{"other.example.com"} }, []string{"serving.crt"}},
		"another server URL":              {func(_ *testing.T, _ *pki.Material, o *pki.Options) { o.Server = "https://127.0.0.1:7443" }, []string{"admin.kubeconfig"}},
		"a crash between key and leaf":    {func(t *testing.T, m *pki.Material, _ *pki.Options) { copyFile(t, m.AdminKey, m.ServingKey) }, []string{"serving.crt"}},
		"a leaf of another authority":     {func(t *testing.T, m *pki.Material, _ *pki.Options) { foreignLeaf(t, m) }, []string{"serving.crt"}},
		"a crash before the CA was named": {func(t *testing.T, m *pki.Material, _ *pki.Options) { remove(t, m.CACert) }, []string{"ca.crt", "admin.kubeconfig"}},
		"a kubeconfig that is not YAML":   {func(t *testing.T, m *pki.Material, _ *pki.Options) { write(t, m.AdminKubeconfig, "\x00") }, []string{"admin.kubeconfig"}},
		"a kubeconfig kubectl has changed": {func(t *testing.T, m *pki.Material, _ *pki.Options) {
			data, err := os.ReadFile(m.AdminKubeconfig)
			if err != nil {
				t.Fatal(err)
			}
			write(t, m.AdminKubeconfig, strings.Replace(string(data), "    user: admin\n", "    user: admin\n    namespace: dev\n", 1)+"preferences: {}\n")
		}, nil},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			dir, opts := newDir(t), options(start)
			first := mustEnsure(t, dir, opts)
			tc.change(t, first, &opts)
			second := mustEnsure(t, dir, opts)
			var got []string
			for _, path := range second.Changed {
				got = append(got, filepath.Base(path))
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("changed files (-want +got):\n%s", diff)
			}
			if third := mustEnsure(t, dir, opts); len(third.Changed) != 0 {
				t.Errorf("a third call changed %v", third.Changed)
			}
		})
	}
}

func TestEnsureRefuses(t *testing.T) {
	tests := map[string]struct {
		break_ func(t *testing.T, dir string, m *pki.Material, o *pki.Options)
		want   string
	}{
		"a key others may read": {func(t *testing.T, dir string, _ *pki.Material, _ *pki.Options) {
			chmod(t, filepath.Join(dir, "pki/ca.key"), 0o640)
		}, "run chmod 600"},
		"a serving key others may use": {func(t *testing.T, _ string, m *pki.Material, _ *pki.Options) { chmod(t, m.ServingKey, 0o604) }, "run chmod 600"},
		"a kubeconfig others may read": {func(t *testing.T, _ string, m *pki.Material, _ *pki.Options) { chmod(t, m.AdminKubeconfig, 0o644) }, "run chmod 600"},
		"a directory others may enter": {func(t *testing.T, dir string, _ *pki.Material, _ *pki.Options) { chmod(t, dir, 0o755) }, "run chmod 700"},
		"a CA without its key": {func(t *testing.T, dir string, _ *pki.Material, _ *pki.Options) {
			remove(t, filepath.Join(dir, "pki/ca.key"))
		}, "has lost its key"},
		"a CA with another's key": {func(t *testing.T, dir string, m *pki.Material, _ *pki.Options) {
			copyFile(t, m.AdminKey, filepath.Join(dir, "pki/ca.key"))
		}, "restore them"},
		"a CA that has expired": {func(_ *testing.T, _ string, _ *pki.Material, o *pki.Options) {
			o.Clock = at(start.Add(pki.AuthorityValidity + time.Hour))
		}, "set the clock"},
		"a clock before the CA was made": {func(_ *testing.T, _ string, _ *pki.Material, o *pki.Options) { o.Clock = at(start.Add(-time.Hour)) }, "set the clock"},
		"a damaged service-account key":  {func(t *testing.T, _ string, m *pki.Material, _ *pki.Options) { write(t, m.ServiceAccountKey, "x") }, "restore it"},
		"a directory where a file should be": {func(t *testing.T, _ string, m *pki.Material, _ *pki.Options) {
			remove(t, m.ServingKey)
			mkdir(t, m.ServingKey)
		}, "not a regular file"},
		"an extra name that is not a host": {func(_ *testing.T, _ string, _ *pki.Material, o *pki.Options) { o.ExtraNames = []string{"https://x"} }, "neither a host name"},
		"a certificate file over the limit": {func(t *testing.T, _ string, m *pki.Material, _ *pki.Options) {
			write(t, m.ServingCert, strings.Repeat("x", 1<<20+1))
		}, "larger than"},
		"a serving certificate used as the CA": {func(t *testing.T, dir string, m *pki.Material, _ *pki.Options) {
			copyFile(t, m.ServingCert, m.CACert)
			copyFile(t, m.ServingKey, filepath.Join(dir, "pki/ca.key"))
		}, "not the certificate of an authority"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			dir, opts := newDir(t), options(start)
			m := mustEnsure(t, dir, opts)
			tc.break_(t, dir, m, &opts)
			_, err := pki.Ensure(dir, opts)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("error = %v, want one that says %q", err, tc.want)
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("the error has more than one line: %q", err)
			}
		})
	}
}

func TestReadPrivateNamesTheMode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	write(t, path, "s")
	chmod(t, path, 0o644)
	if _, err := pki.ReadPrivate(path, 10); !errors.Is(err, pki.ErrUnsafe) || !strings.Contains(err.Error(), "0644") {
		t.Errorf("error = %v, want ErrUnsafe with the mode", err)
	}
	if data, err := pki.ReadPublic(path, 10); err != nil || string(data) != "s" {
		t.Errorf("ReadPublic = %q, %v", data, err)
	}
}

func TestReadPrivateRefusesAnotherOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give a file away")
	}
	path := filepath.Join(t.TempDir(), "secret")
	write(t, path, "s")
	if err := os.Chown(path, 12345, 12345); err != nil {
		t.Fatal(err)
	}
	if _, err := pki.ReadPrivate(path, 10); !errors.Is(err, pki.ErrUnsafe) || !strings.Contains(err.Error(), "12345") {
		t.Errorf("error = %v, want ErrUnsafe with the owner", err)
	}
}

func TestWriteFileLeavesNoTemporaryFile(t *testing.T) {
	dir := t.TempDir()
	mkdir(t, filepath.Join(dir, "taken"))
	if err := pki.WriteFile(filepath.Join(dir, "taken"), []byte("x")); err == nil {
		t.Error("a directory was replaced by a file")
	}
	if err := pki.WriteFile(filepath.Join(dir, "a"), []byte("1")); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if diff := cmp.Diff([]string{"a", "taken"}, names); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

// TestTheKubeconfigWorks makes a TLS connection with nothing but what Ensure wrote.
func TestTheKubeconfigWorks(t *testing.T) {
	dir := newDir(t)
	m := mustEnsure(t, dir, options(time.Now()))
	path, err := pki.IssueUser(dir, pki.Client{Name: "alice", Groups: []string{"dev"}, UID: "u1"}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{m.AdminKubeconfig: "CN=admin,O=system:masters", path: "CN=alice,O=dev,1.3.6.1.4.1.57683.2=#13027531"} {
		t.Run(filepath.Base(file), func(t *testing.T) {
			if got := connect(t, m, file); got != want {
				t.Errorf("the server saw %q, want %q", got, want)
			}
		})
	}
}

// connect returns the subject of the client certificate that the server saw.
func connect(t *testing.T, m *pki.Material, kubeconfigPath string) string {
	t.Helper()
	pair, err := pki.OpenKeyPair(m.ServingCert, m.ServingKey)
	if err != nil {
		t.Fatal(err)
	}
	var subject string
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		subject = r.TLS.PeerCertificates[0].Subject.String()
	}))
	// Not StartTLS: it would serve its own certificate to clients that name no host.
	server.Listener = tls.NewListener(server.Listener, &tls.Config{GetCertificate: pair.GetCertificate, ClientAuth: tls.RequireAnyClientCert})
	server.Start()
	defer server.Close()

	var config struct {
		Clusters []struct {
			Cluster struct {
				CA []byte `json:"certificate-authority-data"`
			} `json:"cluster"`
		} `json:"clusters"`
		Users []struct {
			User struct {
				Cert []byte `json:"client-certificate-data"`
				Key  []byte `json:"client-key-data"`
			} `json:"user"`
		} `json:"users"`
	}
	data, err := os.ReadFile(kubeconfigPath)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(data, &config); err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(config.Clusters[0].Cluster.CA)
	own, err := tls.X509KeyPair(config.Users[0].User.Cert, config.Users[0].User.Key)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{own}}}
	defer transport.CloseIdleConnections()
	res, err := (&http.Client{Transport: transport}).Get(strings.Replace(server.URL, "http://", "https://", 1))
	if err != nil {
		t.Fatal(err)
	}
	if err := res.Body.Close(); err != nil {
		t.Fatal(err)
	}
	return subject
}

func TestClientCertRefuses(t *testing.T) {
	dir := newDir(t)
	mustEnsure(t, dir, options(start))
	authority, err := pki.OpenAuthority(dir, at(start))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]pki.Client{
		"no name":             {},
		"a long name":         {Name: strings.Repeat("a", pki.MaxNameBytes+1)},
		"a long group":        {Name: "a", Groups: []string{strings.Repeat("a", pki.MaxNameBytes+1)}},
		"a backward validity": {Name: "a", Validity: -time.Hour},
	} {
		if _, err := authority.ClientCert(c); err == nil {
			t.Errorf("%s: was issued", name)
		}
	}
	for _, name := range []string{"", "admin", "../x", "a/b", ".hidden", "a b", "system:admin", strings.Repeat("a", 65)} {
		if path, err := pki.IssueUser(dir, pki.Client{Name: name}, at(start)); err == nil {
			t.Errorf("IssueUser(%q) wrote %s", name, path)
		}
	}
	long, err := authority.ClientCert(pki.Client{Name: "a", Validity: 100 * 365 * 24 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(long.Cert)
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if end := start.Add(pki.AuthorityValidity); leaf.NotAfter.After(end) {
		t.Errorf("the leaf ends %v, after its authority's %v", leaf.NotAfter, end)
	}
}

func TestKeyPairReload(t *testing.T) {
	one, two := mustEnsure(t, newDir(t), options(start)), mustEnsure(t, newDir(t), options(start))
	pair, err := pki.OpenKeyPair(one.ServingCert, one.ServingKey)
	if err != nil {
		t.Fatal(err)
	}
	serial := func() string {
		cert, err := pair.GetCertificate(nil)
		if err != nil {
			t.Fatal(err)
		}
		return cert.Leaf.SerialNumber.String()
	}
	reload := func(wantChanged, wantErr bool) {
		t.Helper()
		changed, err := pair.Reload()
		if changed != wantChanged || (err != nil) != wantErr {
			t.Errorf("Reload = %v, %v", changed, err)
		}
	}
	first := serial()
	reload(false, false)
	copyFile(t, two.ServingKey, one.ServingKey) // half of a renewal
	reload(false, true)
	if serial() != first {
		t.Error("a pair that does not fit replaced the good one")
	}
	copyFile(t, two.ServingCert, one.ServingCert)
	reload(true, false)
	if serial() == first {
		t.Error("the renewed pair is not in use")
	}
	remove(t, one.ServingCert)
	reload(false, true)
}

func foreignLeaf(t *testing.T, m *pki.Material) {
	other := mustEnsure(t, newDir(t), options(start))
	copyFile(t, other.ServingCert, m.ServingCert)
	copyFile(t, other.ServingKey, m.ServingKey)
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	write(t, to, string(data))
}

func write(t *testing.T, path, data string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
}

func chmod(t *testing.T, path string, mode fs.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func mkdir(t *testing.T, path string) {
	t.Helper()
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
}
