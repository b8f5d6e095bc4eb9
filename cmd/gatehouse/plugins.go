package main

import (
	"slices"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	resourcev1 "k8s.io/api/resource/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagev1 "k8s.io/api/storage/v1"

	"github.com/gatehouse/gatehouse/admission"
	"github.com/gatehouse/gatehouse/admission/podsecurity"
	"github.com/gatehouse/gatehouse/admission/quota"
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
	standards, err := podsecurity.New(p.settings.podSecurity, find, podsOf{find}, time.Now)
	if err != nil {
		return nil, err
	}
	charged := &quotas{parts: p, all: newLister(find, "", "resourcequotas")}
	return []plugin{
		{"", admission.NamespaceLifecycle{Namespaces: find}},
		{"", admission.Escalation{Rules: p.index, Authorizer: p.chain}},
		{"LimitRanger", quota.LimitRanger{Ranges: within}},
		{"ServiceAccount", admission.ServiceAccount{Accounts: kinds}},
		{"NodeRestriction", admission.NodeRestriction{Objects: find, Authorizer: p.chain}},
		{"TaintNodesByCondition", admission.TaintNodesByCondition{}},
		{"PodSecurity", standards},
		{"Priority", admission.Priority{Classes: priorities}},
		{"DefaultTolerationSeconds", admission.DefaultTolerationSeconds{
			NotReady: p.options.NotReadyTolerationSeconds, Unreachable: p.options.UnreachableTolerationSeconds,
		}},
		{"DefaultStorageClass", admission.DefaultStorageClass{Classes: kinds}},
		{"StorageObjectInUseProtection", admission.StorageObjectInUseProtection{}},
		{"PersistentVolumeClaimResize", admission.PersistentVolumeClaimResize{Classes: kinds}},
		{"RuntimeClass", admission.RuntimeClass{Classes: kinds}},
		{"", admission.Certificates{Authorizer: p.chain}},
		{"DefaultIngressClass", admission.DefaultIngressClass{Classes: kinds}},
		{"", grants},
		{"MutatingAdmissionPolicy", mutating},
		{"ValidatingAdmissionPolicy", validating},
		{"", admission.Policies{Engine: p.engine, Namespaces: find}},
		{"ResourceQuota", quota.NewResourceQuota(charged, within, time.Now)},
	}, nil
}

// makeAdmission is the chain of the plugins that are on.
func (p *parts) makeAdmission(find *finder) (*admission.Chain, error) {
	plugins, err := p.plugins(find)
	if err != nil {
		return nil, err
	}
	chain := &admission.Chain{}
	for _, plugin := range plugins {
		if plugin.name != "" && slices.Contains(p.options.AdmissionOff, plugin.name) {
			continue
		}
		if m, ok := plugin.part.(admission.Mutator); ok {
			chain.Mutators = append(chain.Mutators, m)
		}
		if v, ok := plugin.part.(admission.Validator); ok {
			chain.Validators = append(chain.Validators, v)
		}
	}
	return chain, nil
}
