package main

import (
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	resourcev1 "k8s.io/api/resource/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagev1 "k8s.io/api/storage/v1"

	"github.com/gatehouse/gatehouse/admission"
	"github.com/gatehouse/gatehouse/admission/eventrate"
	"github.com/gatehouse/gatehouse/admission/placement"
	"github.com/gatehouse/gatehouse/admission/podsecurity"
	"github.com/gatehouse/gatehouse/admission/quota"
	"github.com/gatehouse/gatehouse/internal/flags"
)

// plugin is a part of the admission chain under the name by which kube-apiserver's flags call it; without one it cannot be turned off.
// What it does is told by whether it is a Mutator, a Validator or both.
type plugin struct {
	name string
	part any
}

// plugins are all that decide on objects, in the order of kube-apiserver. Policies see what the others have made, and quota is charged
// last, for what nobody refused.
func (p *parts) plugins(find *finder) ([]plugin, error) {
	priorities := &priorityClasses{finder: find, all: newLister(find, schedulingv1.GroupName, "priorityclasses")}
	kinds := &classes{
		finder: find, storage: newLister(find, storagev1.GroupName, "storageclasses"), ingress: newLister(find, networkingv1.GroupName, "ingressclasses"),
	}
	within := &namespaced{
		finder: find, ranges: newLister(find, "", "limitranges"),
		claims: newLister(find, resourcev1.GroupName, "resourceclaims"), device: newLister(find, resourcev1.GroupName, "deviceclasses"),
	}
	mutating, validating, grants := p.celPolicies(find)
	mutatingHooks, validatingHooks, err := p.webhooks(find, grants.Config)
	if err != nil {
		return nil, err
	}
	// NamespaceLifecycle has just waited for what this server has written.
	standards, err := podsecurity.New(p.settings.podSecurity, cachedNamespaces{find}, podsOf{find}, time.Now)
	if err != nil {
		return nil, err
	}
	charged := &quotas{parts: p, all: newLister(find, "", "resourcequotas")}
	rates, err := eventrate.New(p.settings.events, time.Now)
	if err != nil {
		return nil, err
	}
	return []plugin{
		{"NamespaceAutoProvision", admission.NamespaceAutoProvision{Namespaces: find, Maker: find}},
		{"NamespaceLifecycle", admission.NamespaceLifecycle{Namespaces: find, Cached: settledNamespaces{find}}},
		{"NamespaceExists", admission.NamespaceExists{Namespaces: find}},
		{"", admission.Escalation{Rules: p.index, Authorizer: p.chain}},
		{"LimitPodHardAntiAffinityTopology", placement.LimitPodHardAntiAffinityTopology{}},
		{"LimitRanger", quota.LimitRanger{Ranges: within}},
		{"ServiceAccount", admission.ServiceAccount{Accounts: kinds}},
		{"NodeRestriction", admission.NodeRestriction{Objects: find, Authorizer: p.chain}},
		{"TaintNodesByCondition", admission.TaintNodesByCondition{}},
		{"AlwaysPullImages", admission.AlwaysPullImages{}},
		{"PodSecurity", standards},
		{"PodNodeSelector", placement.PodNodeSelector{Selectors: p.settings.selectors, Namespaces: find}},
		{"Priority", admission.Priority{Classes: priorities}},
		{"DefaultTolerationSeconds", admission.DefaultTolerationSeconds{
			NotReady: p.options.NotReadyTolerationSeconds, Unreachable: p.options.UnreachableTolerationSeconds,
		}},
		{"PodTolerationRestriction", placement.PodTolerationRestriction{Tolerations: p.settings.tolerations, Namespaces: find}},
		{"EventRateLimit", rates},
		{"ExtendedResourceToleration", placement.ExtendedResourceToleration{}},
		{"DefaultStorageClass", admission.DefaultStorageClass{Classes: kinds}},
		{"StorageObjectInUseProtection", admission.StorageObjectInUseProtection{}},
		{"OwnerReferencesPermissionEnforcement", admission.OwnerReferencesPermissionEnforcement{Authorizer: p.chain, Kinds: ownerKinds{find}}},
		{"PersistentVolumeClaimResize", admission.PersistentVolumeClaimResize{Classes: kinds}},
		{"RuntimeClass", admission.RuntimeClass{Classes: kinds}},
		{"CertificateApproval", admission.CertificateApproval{Authorizer: p.chain}},
		{"CertificateSigning", admission.CertificateSigning{Authorizer: p.chain}},
		{"CertificateSubjectRestriction", admission.CertificateSubjectRestriction{}},
		{"DefaultIngressClass", admission.DefaultIngressClass{Classes: kinds}},
		{"DenyServiceExternalIPs", admission.DenyServiceExternalIPs{}},
		{"PodTopologyLabels", placement.PodTopologyLabels{Nodes: kinds}},
		{"NodeDeclaredFeatureValidator", quota.NodeFeatures{Nodes: kinds}},
		{"PodResizeValidator", quota.PodResize{Nodes: kinds}},
		{"", grants},
		{"MutatingAdmissionPolicy", mutating},
		{"MutatingAdmissionWebhook", mutatingHooks},
		{"ValidatingAdmissionPolicy", validating},
		{"ValidatingAdmissionWebhook", validatingHooks},
		{"", admission.Policies{Engine: p.engine, Namespaces: find}},
		{"ResourceQuota", quota.NewResourceQuota(charged, within, time.Now)},
		{"AlwaysDeny", admission.AlwaysDeny{}},
	}, nil
}

// isOn reports whether the flags leave the plugin of that name on.
func (p *parts) isOn(plugin string) bool {
	return flags.PluginIsOn(plugin, p.options.AdmissionOn, p.options.AdmissionOff)
}

// makeAdmission is the chain of the plugins that are on.
func (p *parts) makeAdmission(find *finder) (*admission.Chain, error) {
	plugins, err := p.plugins(find)
	if err != nil {
		return nil, err
	}
	chain := &admission.Chain{Metrics: p.admitted}
	for _, plugin := range plugins {
		if plugin.name != "" && !p.isOn(plugin.name) {
			continue
		}
		if m, ok := plugin.part.(admission.Mutator); ok {
			chain.Mutators, chain.MutatorNames = append(chain.Mutators, m), append(chain.MutatorNames, plugin.name)
		}
		if v, ok := plugin.part.(admission.Validator); ok {
			chain.Validators, chain.ValidatorNames = append(chain.Validators, v), append(chain.ValidatorNames, plugin.name)
		}
	}
	return chain, nil
}
