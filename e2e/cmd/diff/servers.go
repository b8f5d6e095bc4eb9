package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/gatehouse/gatehouse/e2e/cluster"
	"github.com/gatehouse/gatehouse/e2e/diff"
)

// startTimeout bounds the builds and starts; the first build of kube-apiserver takes minutes.
const startTimeout = 15 * time.Minute

// servers are the two targets and how to end what was started for them.
type servers struct {
	kube, ours *diff.Target
	closers    []func() error
}

func (s *servers) close() error {
	var all error
	for i := len(s.closers) - 1; i >= 0; i-- {
		all = errors.Join(all, s.closers[i]())
	}
	return all
}

func startServers(ctx context.Context, o options, dir string) (*servers, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	s := &servers{}
	err := s.startKube(ctx, o, dir)
	if err == nil {
		err = s.startGatehouse(ctx, o, dir)
	}
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *servers) startKube(ctx context.Context, o options, dir string) (err error) {
	config := o.kubeConfig
	if config == "" {
		etcd, err := cluster.StartEtcd(ctx, dir)
		if err != nil {
			return fmt.Errorf("start etcd: %w", err)
		}
		s.closers = append(s.closers, etcd.Close)
		server, err := cluster.StartKubeAPIServer(ctx, dir, cluster.APIServerOptions{EtcdURL: etcd.URL})
		if err != nil {
			return fmt.Errorf("start kube-apiserver: %w", err)
		}
		s.closers = append(s.closers, server.Close)
		config = server.Kubeconfig
	}
	s.kube, err = diff.NewTarget("kube-apiserver", config, o.kubeURL)
	return err
}

func (s *servers) startGatehouse(ctx context.Context, o options, dir string) (err error) {
	config := o.gatehouseConfig
	if config == "" {
		opts := cluster.GatehouseOptions{DataDir: filepath.Join(dir, "gatehouse-data"), Args: strings.Fields(o.gatehouseArgs)}
		server, err := cluster.StartGatehouse(ctx, dir, opts)
		if err != nil {
			return fmt.Errorf("start gatehouse: %w", err)
		}
		s.closers = append(s.closers, server.Close)
		config = server.Kubeconfig
	}
	s.ours, err = diff.NewTarget("gatehouse", config, o.gatehouseURL)
	return err
}
