package main

import (
	"context"
	"crypto/x509"
	"encoding/pem"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/internal/pki"
	"github.com/gatehouse/gatehouse/resource"
	"github.com/gatehouse/gatehouse/standalone"
)

// standingAlone acts for a kube-controller-manager while there is none, from when the system namespaces exist. Its context ends with the
// serving and not with the loops, so that the Lease can be released while writes are still possible.
func (p *parts) standingAlone(ctx context.Context, booted <-chan struct{}) error {
	if !p.options.StandaloneLoops {
		return nil
	}
	select {
	case <-booted:
	case <-ctx.Done():
		return ctx.Err()
	}
	return standalone.New(standalone.Config{
		Resources: p.resources, RootCA: p.rootCA, Holder: p.self.holder, Logger: p.logger,
		Audited: func(ctx context.Context, why string, info api.RequestInfo, do func(resource.Write) error) error {
			return p.audited(ctx, because(why), info, do)
		},
	}).Run(ctx)
}

// rootCA returns the authorities by which pods know this server: the one in the data directory if that has signed the serving certificate,
// and otherwise those in the file of the serving certificate. Nil means that none are known.
func (p *parts) rootCA() []byte {
	file := p.servingCert
	if p.material != nil && p.servingCert == p.material.ServingCert {
		file = p.material.CACert
	}
	text, err := pki.ReadPublic(file, maxReloadBytes)
	if err != nil {
		p.logger.Warn("the authorities of the serving certificate cannot be read, so they are not published to pods", "err", err)
		return nil
	}
	return authoritiesIn(text)
}

// authoritiesIn returns the certificates of authorities in the PEM text, without anything that stands between them.
func authoritiesIn(text []byte) (out []byte) {
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return out
		}
		if c, err := x509.ParseCertificate(block.Bytes); err == nil && block.Type == "CERTIFICATE" && c.IsCA {
			out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: block.Bytes})...)
		}
	}
}
