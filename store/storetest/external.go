package storetest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"

	"github.com/gatehouse/gatehouse/store"
)

// External is an etcd that is reached as an external one is: over TCP on the loopback address, with TLS and certificates on
// both sides. It can be stopped and started again on the same data and address.
type External struct {
	t     *testing.T
	dir   string
	files store.DialOptions
	url   url.URL
	etcd  *embed.Etcd
}

// StartExternal starts an etcd that is stopped when the test ends.
func StartExternal(t *testing.T) *External {
	t.Helper()
	e := &External{t: t, dir: t.TempDir(), url: url.URL{Scheme: "https", Host: "127.0.0.1:0"}}
	e.files = writeCertificate(t)
	e.Start()
	t.Cleanup(e.Stop)
	return e
}

// Start runs etcd and returns when it serves.
func (e *External) Start() {
	e.t.Helper()
	conf := embed.NewConfig()
	conf.Dir = filepath.Join(e.dir, "data")
	sockets, err := os.MkdirTemp("", "etcd")
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() { _ = os.RemoveAll(sockets) })
	peer := url.URL{Scheme: "unix", Path: filepath.Join(sockets, "peer")}
	conf.ListenPeerUrls, conf.AdvertisePeerUrls = []url.URL{peer}, []url.URL{peer}
	conf.ListenClientUrls, conf.AdvertiseClientUrls = []url.URL{e.url}, []url.URL{e.url}
	conf.InitialCluster = conf.InitialClusterFromName(conf.Name)
	conf.ClientTLSInfo = transport.TLSInfo{
		CertFile: e.files.CertFile, KeyFile: e.files.KeyFile, TrustedCAFile: e.files.CAFile, ClientCertAuth: true,
	}
	conf.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	conf.UnsafeNoFsync = true
	conf.EnableGRPCGateway = false
	conf.TickMs, conf.ElectionMs = 10, 50
	if e.etcd, err = embed.StartEtcd(conf); err != nil {
		e.t.Fatal(err)
	}
	select {
	case <-e.etcd.Server.ReadyNotify():
	case err := <-e.etcd.Err():
		e.t.Fatal(err)
	}
	e.url.Host = e.etcd.Clients[0].Addr().String() // kept for the next start
}

// Stop ends etcd, which waits for some seconds for clients with a watch before it cuts their connections. It does nothing if etcd is
// stopped.
func (e *External) Stop() {
	if e.etcd != nil {
		e.etcd.Close()
		e.etcd = nil
	}
}

// Wipe deletes the data of a stopped etcd.
func (e *External) Wipe() {
	e.t.Helper()
	if err := os.RemoveAll(filepath.Join(e.dir, "data")); err != nil {
		e.t.Fatal(err)
	}
}

// Options say how to reach it.
func (e *External) Options() store.DialOptions {
	o := e.files
	o.Servers = []string{e.url.String()}
	return o
}

// Client returns a new client that is closed when the test ends.
func (e *External) Client() *clientv3.Client {
	e.t.Helper()
	client, err := store.Dial(e.Options())
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() { _ = client.Close() })
	return client
}

// writeCertificate makes one self-signed certificate that serves as authority, server and client.
func writeCertificate(t *testing.T) store.DialOptions {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "storetest"},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	o := store.DialOptions{CertFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem")}
	o.CAFile = o.CertFile
	for file, block := range map[string]*pem.Block{
		o.CertFile: {Type: "CERTIFICATE", Bytes: der}, o.KeyFile: {Type: "PRIVATE KEY", Bytes: private},
	} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return o
}
