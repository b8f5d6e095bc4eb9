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
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
)

// DialOptions say how to reach an external etcd.
type DialOptions struct {
	// Servers are URLs, http://host:port or https://host:port; at least one.
	Servers []string
	// CAFile verifies the servers; empty means the system's roots.
	CAFile string
	// CertFile and KeyFile are the client's certificate, both or none. They are read again for each new connection.
	CertFile, KeyFile string
}

// Bounds of one answer of etcd, such as a page of the initial load, and of one request. etcd itself refuses requests over
// 1.5 MiB by default.
const (
	maxAnswerBytes  = 256 << 20
	maxRequestBytes = 4 << 20
)

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
		// gRPC's own pause between attempts grows to two minutes, for which a server would stay out of order after etcd is back.
		DialOptions: []grpc.DialOption{grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 2 * time.Second},
			MinConnectTimeout: 10 * time.Second,
		})},
		MaxCallRecvMsgSize: maxAnswerBytes, MaxCallSendMsgSize: maxRequestBytes,
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
		if _, err := o.clientCertificate(nil); err != nil {
			return nil, err
		}
		conf.GetClientCertificate = o.clientCertificate
	}
	return conf, nil
}

func (o DialOptions) clientCertificate(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	if o.CertFile == "" || o.KeyFile == "" {
		return nil, errors.New("etcd client certificate: a certificate and a key are needed, and only one is given")
	}
	cert, err := tls.LoadX509KeyPair(o.CertFile, o.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("etcd client certificate: %w", err)
	}
	return &cert, nil
}
