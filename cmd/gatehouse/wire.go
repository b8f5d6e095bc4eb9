package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sync/errgroup"

	"github.com/gatehouse/gatehouse/admission"
	"github.com/gatehouse/gatehouse/audit"
	"github.com/gatehouse/gatehouse/authn"
	"github.com/gatehouse/gatehouse/authn/serviceaccount"
	"github.com/gatehouse/gatehouse/authz"
	"github.com/gatehouse/gatehouse/authz/rbac"
	"github.com/gatehouse/gatehouse/internal/flags"
	"github.com/gatehouse/gatehouse/internal/openapi"
	"github.com/gatehouse/gatehouse/internal/pki"
	"github.com/gatehouse/gatehouse/policies"
	"github.com/gatehouse/gatehouse/ratelimit"
	"github.com/gatehouse/gatehouse/resource"
	"github.com/gatehouse/gatehouse/server"
	"github.com/gatehouse/gatehouse/services"
	"github.com/gatehouse/gatehouse/store"
	"github.com/gatehouse/gatehouse/store/embedded"
)

// service answers requests on its listener. It calls ready once, when /readyz succeeds, and returns nil some time
// after ctx has ended, with what it holds closed and within stopGrace; any other end is an error.
type service func(ctx context.Context, ready func()) error

// parts are the stages of a server, as far as they are made.
type parts struct {
	wiring
	engine    *policies.Engine
	log       *audit.Log // nil where auditing is off
	index     *rbac.Index
	nodes     nodeGraph
	modes     *authorizers
	chain     authz.Chain
	admitted  *admission.Metrics // nil counts nothing
	mirror    *store.Mirror
	resources *resource.Service
	allocator *services.Allocator
	self      identity
	find      *finder
	settings  *pluginSettings
	issuer    *serviceaccount.Issuer
	authn     *authn.Chain
	authentication
	server   *server.Server
	reload   []reloader
	progress progress
	close    []func() error // in the order in which they were opened
}

// wire makes a service by plain constructors, in the order in which a request meets what they make, last first. Its context
// ends with the service's.
func wire(ctx context.Context, w wiring) (_ service, err error) {
	p := &parts{wiring: w, self: newIdentity(hostname())}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.closeAll())
		}
	}()
	for _, make := range []func(context.Context) error{
		p.makePluginSettings, p.makePolicies, p.makeAudit, p.makeStore, p.makeAuthorization, p.makeResources, p.makeAuthentication, p.makeServer,
	} {
		if err := make(ctx); err != nil {
			return nil, err
		}
	}
	return p.serve, nil
}

func (p *parts) closeAll() error {
	var errs []error
	for _, c := range slices.Backward(p.close) {
		errs = append(errs, c())
	}
	return errors.Join(errs...)
}

func (p *parts) makePolicies(context.Context) (err error) {
	p.engine, err = policies.New(policies.Options{NoDefaults: p.options.Profile == flags.Compatible, Logger: p.logger})
	if err != nil || p.options.PolicyDir == "" {
		return err
	}
	if err := p.engine.Load(p.options.PolicyDir); err != nil {
		return fmt.Errorf("--policy-dir: %w", err)
	}
	return nil
}

func (p *parts) makeAudit(context.Context) error {
	o := p.options
	if o.AuditLogPath == "" {
		return nil
	}
	var policy *audit.Policy
	if o.AuditPolicyFile != "" {
		var err error
		if policy, err = audit.LoadPolicy(o.AuditPolicyFile); err != nil {
			return fmt.Errorf("--audit-policy-file: %w", err)
		}
	}
	log, err := audit.Open(audit.Options{
		Path: o.AuditLogPath, Policy: policy, Logger: p.logger,
		MaxSizeBytes: int64(o.AuditLogMaxSize) << 20, MaxBackups: o.AuditLogMaxBackup,
		MaxAge: time.Duration(o.AuditLogMaxAge) * 24 * time.Hour,
	})
	if err != nil {
		return err
	}
	p.log = log
	p.close = append(p.close, log.Close)
	if o.AuditPolicyFile != "" {
		p.reload = append(p.reload, reloader{o.AuditPolicyFile, whenChanged([]string{o.AuditPolicyFile}, func() error {
			policy, err := audit.LoadPolicy(o.AuditPolicyFile)
			if err != nil {
				return err
			}
			return log.SetPolicy(context.Background(), policy)
		})})
	}
	return nil
}

func (p *parts) makeStore(ctx context.Context) error {
	client, err := p.etcdClient(ctx)
	if err != nil {
		return err
	}
	etcd := store.NewEtcd(client, p.options.EtcdPrefix)
	p.mirror = store.NewMirror(etcd, p.logger)
	if len(p.options.EtcdServers) > 0 {
		ctx, cancel := context.WithTimeout(ctx, etcdPatience)
		defer cancel()
		if _, err := etcd.Revision(ctx); err != nil {
			p.logger.Warn("etcd does not answer yet: start it, or correct --etcd-servers; until then nothing is served",
				"servers", strings.Join(p.options.EtcdServers, ","), "err", err)
		}
	}
	return nil
}

// etcdPatience is how long the start waits for etcd before it says so. It goes on waiting after that.
const etcdPatience = 2 * time.Second

func (p *parts) etcdClient(ctx context.Context) (*clientv3.Client, error) {
	o := p.options
	if len(o.EtcdServers) > 0 {
		client, err := store.Dial(store.DialOptions{
			Servers: o.EtcdServers, CAFile: o.EtcdCAFile, CertFile: o.EtcdCertFile, KeyFile: o.EtcdKeyFile,
		})
		if err == nil {
			p.close = append(p.close, client.Close)
		}
		return client, err
	}
	etcd, err := embedded.Start(ctx, embedded.Options{Dir: p.dir.Path("etcd"), Fatal: func(message string) {
		// Nothing that was acknowledged is lost: etcd has synced it. Deferred calls could block on what just failed.
		fmt.Fprintf(os.Stderr, "gatehouse: the embedded etcd in %s cannot go on: %s: make room or repair the disk, and start again\n", p.dir.Path("etcd"), message)
		os.Exit(1)
	}})
	if err != nil {
		return nil, err
	}
	p.close = append(p.close, func() error { etcd.Close(); return nil })
	return etcd.Client(), nil
}

func (p *parts) makeResources(context.Context) error {
	table, err := resource.Builtin()
	if err != nil {
		return err
	}
	find := &finder{}
	p.admitted = admission.NewMetrics()
	chain, err := p.makeAdmission(find)
	if err != nil {
		return err
	}
	issuer, keys, err := p.makeIssuer(find)
	if err != nil {
		return err
	}
	p.issuer, p.accountKeys, p.find = issuer, keys, find
	p.authn = &authn.Chain{APIAudiences: p.audiences(), Anonymous: anonymous(p.options.Anonymous)}
	p.resources = resource.NewService(resource.Config{
		Table: table, Mirror: p.mirror, Admission: chain, Authorizer: p.chain, Rules: p.modes,
		Components: []resource.Component{{Name: "etcd-0", Check: p.checkEtcd}},
		Issuer:     tokenIssuer{issuer}, Reviewer: tokenReviewer{p.authn}, EventTTL: p.options.EventTTL,
		Allocator: p.makeAllocator(), KubeletAddressTypes: p.options.Kubelets.AddressTypes,
	})
	find.service = p.resources
	return nil
}

func (p *parts) makeIssuer(find *finder) (*serviceaccount.Issuer, *serviceaccount.Keys, error) {
	o := p.options
	signingFile := o.ServiceAccountSigningKeyFile
	if signingFile == "" && p.material != nil {
		signingFile = p.material.ServiceAccountKey
	}
	signing, err := serviceaccount.LoadSigningKey(signingFile)
	if err != nil {
		return nil, nil, fmt.Errorf("--service-account-signing-key-file: %w", err)
	}
	public, err := loadKeys(signing, o.ServiceAccountKeyFiles)
	if err != nil {
		return nil, nil, fmt.Errorf("--service-account-key-file: %w", err)
	}
	keys, err := serviceaccount.NewKeys(signing, public)
	if err != nil {
		return nil, nil, fmt.Errorf("--service-account-key-file: %w", err)
	}
	p.reload = append(p.reload, reloader{signingFile, whenChanged(append([]string{signingFile}, o.ServiceAccountKeyFiles...), func() error {
		signing, err := serviceaccount.LoadSigningKey(signingFile)
		if err != nil {
			return err
		}
		public, err := loadKeys(signing, o.ServiceAccountKeyFiles)
		if err != nil {
			return err
		}
		return keys.Replace(signing, public)
	})})
	issuer, err := serviceaccount.NewIssuer(serviceaccount.IssuerOptions{
		Issuer: p.issuers()[0], Audiences: p.audiences(), Keys: keys, Objects: find, Pods: find, Clock: time.Now,
		MaxExpiration: o.ServiceAccountMaxTokenExpiration, ExtendExpiration: o.ServiceAccountExtendTokenExpiration,
		JWKSURI: cmp.Or(o.ServiceAccountJWKSURI, p.url+serviceaccount.JWKSPath),
	})
	return issuer, keys, err
}

func (p *parts) issuers() []string {
	if len(p.options.ServiceAccountIssuers) > 0 {
		return p.options.ServiceAccountIssuers
	}
	return []string{p.url}
}

func (p *parts) audiences() []string {
	if len(p.options.APIAudiences) > 0 {
		return p.options.APIAudiences
	}
	return p.issuers()
}

func (p *parts) makeServer(context.Context) error {
	o := p.options
	pair, err := pki.OpenKeyPair(p.servingCert, p.servingKey)
	if err != nil {
		return err
	}
	p.reload = append(p.reload, reloader{p.servingCert, pair.Reload})
	documents, err := openapi.Load()
	if err != nil {
		return err
	}
	var auditor server.Auditor = auditOff{}
	if p.log != nil {
		auditor = p.log
	}
	peers := ratelimit.NewPeers(ratelimit.PeersConfig{Rate: o.PeerRateLimit, Burst: o.PeerRateBurst, Disable: o.PeerRateLimit == 0})
	clients := ratelimit.NewClients(ratelimit.ClientsConfig{
		Rate: o.ClientRateLimit, Burst: o.ClientRateBurst, DisableRate: o.ClientRateLimit == 0,
		Seats: o.MaxRequestsInflight + o.MaxMutatingRequestsInflight,
	})
	registry := prometheus.NewRegistry()
	rest, storage := server.NewREST(p.resources), resource.NewStorageMetrics(p.resources)
	rest.MinWatch = o.Transport.MinRequestTimeout
	backends, err := p.makeBackends()
	if err != nil {
		return err
	}
	rest.ConnectTo(backends)
	p.mirror.Etcd().Observe(storage.Observe)
	observed := []prometheus.Collector{p.engine, peers, clients, rest, storage, p.admitted}
	if p.log != nil {
		observed = append(observed, p.log)
	}
	for _, c := range observed {
		if err := registry.Register(c); err != nil {
			return fmt.Errorf("metrics: %w", err)
		}
	}
	certificate, err := p.certificates(pair)
	if err != nil {
		return err
	}
	edge, err := edgeOf(o.Transport)
	if err != nil {
		return err
	}
	p.server, err = server.New(server.Config{
		Peers: peers, Authenticator: p.authn, Auditor: auditor, Clients: clients,
		Authorizer: p.chain, Resources: rest, Table: p.resources.Table,
		OpenAPI: documents, Issuer: p.issuer, IdentityHeaders: p.identityHeaders, Rechecker: p.authn,
		Flags: p.flags, Checks: p.checks(), Registry: registry, Address: p.listener.Addr().String(),
		MinTLSVersion: o.TLSMinVersion, CipherSuites: o.CipherSuites(), MaxStreams: o.HTTP2MaxStreamsPerConnection,
		CurvePreferences: o.Transport.CurvePreferences, DisableHTTP2: o.Transport.DisableHTTP2, Edge: edge,
		ShutdownDelay: o.Transport.ShutdownDelay, WatchGrace: o.Transport.ShutdownWatchGrace, RetryAfter: o.Transport.ShutdownSendRetryAfter,
		GetCertificate: certificate, ClientCAs: p.hint.Load, Logger: p.logger, RequestTimeout: o.RequestTimeout,
	})
	return err
}

// serve runs everything until ctx ends or a part fails.
func (p *parts) serve(ctx context.Context, ready func()) (err error) {
	defer func() { err = errors.Join(err, p.closeAll()) }()
	// The loops outlive the server, which drains requests that still need them.
	loops, stop := context.WithCancel(context.WithoutCancel(ctx))
	group, loops := errgroup.WithContext(loops)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	context.AfterFunc(loops, cancel)
	group.Go(func() error { return ended(p.mirror.Run(loops)) })
	if interval := p.options.EtcdCompactionInterval; interval > 0 {
		group.Go(func() error { return ended(store.NewCompactor(p.mirror.Etcd()).Run(loops, interval, p.logger)) })
	}
	group.Go(func() error { return ended(p.followRoles(loops)) })
	group.Go(func() error { return ended(p.followNodes(loops)) })
	group.Go(func() error { return ended(p.reloadFiles(loops)) })
	group.Go(func() error { return ended(p.recordTokenUse(loops)) })
	group.Go(func() error { return ended(p.watchCredentials(loops)) })
	group.Go(func() error { return ended(p.followIssuers(loops)) })
	if p.options.PolicyDir != "" {
		group.Go(func() error { return ended(p.engine.Watch(loops, p.options.PolicyDir)) })
	}
	booted := make(chan struct{})
	group.Go(func() error {
		if err := p.bootstrap(loops); err != nil {
			return ended(err)
		}
		p.progress[tendingBegun].set()
		close(booted)
		ready()
		return ended(p.tending(loops))
	})
	alone := make(chan struct{})
	group.Go(func() error {
		defer close(alone)
		return ended(p.standingAlone(ctx, booted))
	})
	group.Go(func() error { return ended(p.judging(loops)) })
	left := make(chan struct{})
	context.AfterFunc(ctx, func() {
		defer close(left)
		p.leave(loops)
	})
	err = p.server.Serve(ctx, p.listener)
	cancel()
	<-left
	<-alone
	stop()
	return errors.Join(err, group.Wait())
}

// ended is nil for an end that was asked for.
func ended(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
