package store

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// DialOptions say how to reach an external etcd.
type DialOptions struct {
	// Servers are URLs, http://host:port or https://host:port; at least one.
	Servers []string
	// CAFile verifies the servers; empty means the system's roots.
	CAFile string
	// CertFile and KeyFile are the client's certificate, both or none.
	CertFile, KeyFile string
}

// maxMessageBytes bounds one answer of etcd, such as a page of the initial load, and one request. etcd itself refuses requests
// over 1.5 MiB by default.
const maxMessageBytes = 256 << 20

// Dial returns a client of an external etcd. It does not wait for a connection: operations fail until there is one.
func Dial(o DialOptions) (*clientv3.Client, error) {
	if len(o.Servers) == 0 {
		return nil, errors.New("etcd: no servers given")
	}
	conf, err := o.tls()
	if err != nil {
		return nil, err
	}
	return clientv3.New(clientv3.Config{
		Endpoints: o.Servers, TLS: conf, Logger: zap.NewNop(),
		DialTimeout: 10 * time.Second, DialKeepAliveTime: 10 * time.Second, DialKeepAliveTimeout: 10 * time.Second,
		MaxCallRecvMsgSize: maxMessageBytes, MaxCallSendMsgSize: 4 << 20,
		Context: context.Background(),
	})
}

func (o DialOptions) tls() (*tls.Config, error) {
	if o.CAFile == "" && o.CertFile == "" && o.KeyFile == "" {
		return nil, nil
	}
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.CAFile != "" {
		pem, err := os.ReadFile(o.CAFile)
		if err != nil {
			return nil, fmt.Errorf("etcd CA: %w", err)
		}
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("etcd CA: %s holds no PEM certificate", o.CAFile)
		}
	}
	if o.CertFile != "" || o.KeyFile != "" {
		cert, err := tls.LoadX509KeyPair(o.CertFile, o.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("etcd client certificate: %w", err)
		}
		conf.Certificates = []tls.Certificate{cert}
	}
	return conf, nil
}
