package storetest_test

import (
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/goleak"

	"github.com/gatehouse/gatehouse/store/embedded"
	"github.com/gatehouse/gatehouse/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEmbedded(t *testing.T) {
	server, err := embedded.Start(t.Context(), embedded.Options{Dir: t.TempDir(), UnsafeNoFsync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	storetest.Run(t, func(*testing.T) *clientv3.Client { return server.Client() })
}

func TestExternal(t *testing.T) {
	client := storetest.StartExternal(t).Client()
	storetest.Run(t, func(*testing.T) *clientv3.Client { return client })
}
