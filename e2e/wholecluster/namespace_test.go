package wholecluster_test

import (
	"slices"
	"strings"
	"testing"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// namespacesGo deletes all that the story made, by namespace, and looks at the keys in etcd: nothing must be left, and neither
// more nor less must have been deleted.
func namespacesGo(w *whole, t *testing.T) {
	before := w.keys(t)
	w.run(t, "delete", "namespace", shop, narrow, "--timeout="+patience.String())
	gone := func(key string) bool {
		return slices.ContainsFunc([]string{shop, narrow}, func(ns string) bool {
			return strings.Contains(key, "/"+ns+"/") || strings.HasSuffix(key, "/"+ns)
		})
	}
	if !w.etcd {
		return
	}
	if !slices.ContainsFunc(before, gone) {
		t.Fatalf("no key of the namespaces was found before: %v", before)
	}
	after := w.keys(t)
	for _, key := range after {
		if gone(key) {
			t.Errorf("%s is left", key)
		}
	}
	for _, key := range before {
		if !gone(key) && !slices.Contains(after, key) && !comesAndGoes(key) {
			t.Errorf("%s is gone too", key)
		}
	}
}

// comesAndGoes tells of keys that go without being deleted by somebody: events and what leaders and addresses leave behind.
func comesAndGoes(key string) bool {
	return slices.ContainsFunc([]string{"/events/", "/masterleases/", "/leases/", "/ipaddresses/"}, func(part string) bool {
		return strings.Contains(key, part)
	})
}

// keys lists what is in etcd; nothing if that is inside the API server.
func (w *whole) keys(t *testing.T) []string {
	t.Helper()
	if !w.etcd {
		return nil
	}
	tls, err := transport.TLSInfo{
		CertFile:      w.layout.File("pki/apiserver-etcd-client.crt"),
		KeyFile:       w.layout.File("pki/apiserver-etcd-client.key"),
		TrustedCAFile: w.layout.File("pki/etcd/ca.crt"),
	}.ClientConfig()
	if err != nil {
		t.Fatal(err)
	}
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{w.layout.EtcdURL}, TLS: tls, DialTimeout: startTimeout})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	all, err := client.Get(t.Context(), "/registry/", clientv3.WithPrefix(), clientv3.WithKeysOnly())
	if err != nil {
		t.Fatal(err)
	}
	keys := make([]string, 0, len(all.Kvs))
	for _, kv := range all.Kvs {
		keys = append(keys, string(kv.Key))
	}
	return keys
}
