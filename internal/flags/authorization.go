package flags

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// The authorization modes that are implemented.
const (
	// Node lets nodes read what their pods use.
	Node = "Node"
	// RBAC asks roles and bindings.
	RBAC = "RBAC"
	// Webhook asks a service.
	Webhook = "Webhook"
	// AlwaysAllow lets every authenticated user do everything. The hardened profile refuses it.
	AlwaysAllow = "AlwaysAllow"
	// AlwaysDeny allows nothing.
	AlwaysDeny = "AlwaysDeny"
)

func authorizationModes() []string { return []string{Node, RBAC, Webhook, AlwaysAllow, AlwaysDeny} }

// Authorization says who decides about requests.
type Authorization struct {
	// ConfigFile is an AuthorizationConfiguration. Empty means that AuthorizationModes say it; one of the two is set.
	ConfigFile string
	// WebhookConfigFile is a kubeconfig that says how to reach the service of the mode Webhook. It is set with that mode only.
	WebhookConfigFile string
	// WebhookVersion is the version of the review that is sent: v1 or v1beta1.
	WebhookVersion string
	// WebhookAuthorizedTTL and WebhookUnauthorizedTTL are how long answers are kept; 0 keeps none.
	WebhookAuthorizedTTL   time.Duration
	WebhookUnauthorizedTTL time.Duration
}

const (
	modeFlag          = "authorization-mode"
	authzConfigFlag   = "authorization-config"
	webhookConfigFlag = "authorization-webhook-config-file"
)

// webhookFlags are those that an AuthorizationConfiguration takes the place of, beside the modes.
func webhookFlags() []string {
	return []string{
		webhookConfigFlag, "authorization-webhook-version",
		"authorization-webhook-cache-authorized-ttl", "authorization-webhook-cache-unauthorized-ttl",
	}
}

func registerAuthorization(fs *pflag.FlagSet, o *Options) {
	a := &o.Authorization
	fs.StringSliceVar(&o.AuthorizationModes, modeFlag, nil,
		"who decides, in this order: "+strings.Join(authorizationModes(), ", ")+"; the hardened profile refuses "+AlwaysAllow)
	fs.StringVar(&a.ConfigFile, authzConfigFlag, "",
		"who decides, as apiserver.config.k8s.io/v1 AuthorizationConfiguration, in place of --"+modeFlag+"; read again when it changes")
	fs.StringVar(&a.WebhookConfigFile, webhookConfigFlag, "", "kubeconfig of the service that the mode "+Webhook+" asks")
	fs.StringVar(&a.WebhookVersion, "authorization-webhook-version", "v1beta1", "version of the SubjectAccessReview that is sent to it: v1 or v1beta1")
	fs.DurationVar(&a.WebhookAuthorizedTTL, "authorization-webhook-cache-authorized-ttl", 5*time.Minute,
		"how long its answers are kept that allow; 0 keeps none")
	fs.DurationVar(&a.WebhookUnauthorizedTTL, "authorization-webhook-cache-unauthorized-ttl", 30*time.Second,
		"how long its other answers are kept; 0 keeps none")
}

// settleAuthorization leaves the modes to the configuration, where there is one and no modes were given.
func (s *Set) settleAuthorization(o *Options) (faults []error) {
	if o.Authorization.ConfigFile == "" {
		return nil
	}
	if !s.all.Changed(modeFlag) {
		o.AuthorizationModes = nil
	}
	for _, name := range webhookFlags() {
		if s.all.Changed(name) {
			faults = append(faults, fmt.Errorf("--%s: --%s says that too: give one of them", name, authzConfigFlag))
		}
	}
	return faults
}

func (o *Options) allowsAlways() bool { return slices.Contains(o.AuthorizationModes, AlwaysAllow) }

// noABAC is why that mode is not there.
const noABAC = "not implemented, its policy file changes only with a restart and cannot be reviewed by the API: use RBAC"

func (o *Options) validateModes(f *faults) {
	known := strings.Join(authorizationModes(), ", ")
	switch configured := o.Authorization.ConfigFile != ""; {
	case configured && len(o.AuthorizationModes) > 0:
		f.add(modeFlag, ": --%s says that too: give one of them", authzConfigFlag)
	case !configured && len(o.AuthorizationModes) == 0:
		f.add(modeFlag, ": one of %s is required", known)
	}
	for i, mode := range o.AuthorizationModes {
		switch {
		case slices.Contains(o.AuthorizationModes[:i], mode):
			f.add(modeFlag, "=%s: given twice", mode)
		case mode == "ABAC":
			f.add(modeFlag, "=ABAC: %s", noABAC)
		case !slices.Contains(authorizationModes(), mode):
			f.add(modeFlag, "=%s: no such mode, there are %s", mode, known)
		}
	}
	o.validateAuthorizationWebhook(f)
}

func (o *Options) validateAuthorizationWebhook(f *faults) {
	a := o.Authorization
	wanted := slices.Contains(o.AuthorizationModes, Webhook)
	switch {
	case wanted && a.WebhookConfigFile == "":
		f.add(webhookConfigFlag, ": required with --%s=%s", modeFlag, Webhook)
	case !wanted && a.WebhookConfigFile != "":
		f.add(webhookConfigFlag, "=%s: of no use without --%s=%s", a.WebhookConfigFile, modeFlag, Webhook)
	}
	if v := a.WebhookVersion; v != "v1" && v != "v1beta1" && (wanted || v != "") {
		f.add("authorization-webhook-version", "=%s: want v1 or v1beta1", v)
	}
	during(f, "authorization-webhook-cache-authorized-ttl", a.WebhookAuthorizedTTL, 0, maxAnswerTTL)
	during(f, "authorization-webhook-cache-unauthorized-ttl", a.WebhookUnauthorizedTTL, 0, maxAnswerTTL)
}

// maxAnswerTTL bounds how long a decision may be out of date.
const maxAnswerTTL = 24 * time.Hour
