package rules

// layout is the order of the fields in the reference's own form of a type, for the types where it is another one than in the served form;
// empty for all others. A field that the served form does not have is given with the value that it always holds.
func layout(typ string) string {
	switch typ {
	case "admissionregistration/v1.ValidatingAdmissionPolicySpec":
		return "ParamKind MatchConstraints Validations MatchConditions FailurePolicy AuditAnnotations Variables"
	case "apps/v1.DaemonSetSpec":
		return "Selector Template UpdateStrategy MinReadySeconds TemplateGeneration=0 RevisionHistoryLimit"
	case "apps/v1.DeploymentSpec":
		return "Replicas Selector Template Strategy MinReadySeconds RevisionHistoryLimit Paused RollbackTo=null ProgressDeadlineSeconds"
	case "autoscaling/v2.ContainerResourceMetricSource":
		return "Name Container Target"
	case "autoscaling/v2.ContainerResourceMetricStatus":
		return "Name Container Current"
	case "batch/v1.JobSpec":
		return "Parallelism Completions PodFailurePolicy SuccessPolicy ActiveDeadlineSeconds BackoffLimit BackoffLimitPerIndex " +
			"MaxFailedIndexes Selector ManualSelector Template TTLSecondsAfterFinished CompletionMode Suspend PodReplacementPolicy ManagedBy"
	case "core/v1.NodeSpec":
		return "PodCIDRs ProviderID Unschedulable Taints ConfigSource DoNotUseExternalID"
	case "core/v1.PersistentVolumeSource":
		return "GCEPersistentDisk AWSElasticBlockStore HostPath Glusterfs NFS RBD Quobyte ISCSI FlexVolume Cinder CephFS FC Flocker AzureFile " +
			"VsphereVolume AzureDisk PhotonPersistentDisk PortworxVolume ScaleIO Local StorageOS CSI"
	case "core/v1.ServiceSpec":
		return "Type Ports Selector ClusterIP ClusterIPs IPFamilies IPFamilyPolicy ExternalName ExternalIPs LoadBalancerIP SessionAffinity " +
			"SessionAffinityConfig LoadBalancerSourceRanges ExternalTrafficPolicy HealthCheckNodePort PublishNotReadyAddresses " +
			"AllocateLoadBalancerNodePorts LoadBalancerClass InternalTrafficPolicy TrafficDistribution"
	case "core/v1.VolumeSource":
		return "HostPath EmptyDir GCEPersistentDisk AWSElasticBlockStore GitRepo Secret NFS ISCSI Glusterfs PersistentVolumeClaim RBD Quobyte " +
			"FlexVolume Cinder CephFS Flocker DownwardAPI FC AzureFile ConfigMap VsphereVolume AzureDisk PhotonPersistentDisk Projected " +
			"PortworxVolume ScaleIO StorageOS CSI Ephemeral Image"
	case "storage/v1.CSIDriverSpec":
		return "AttachRequired FSGroupPolicy PodInfoOnMount VolumeLifecycleModes StorageCapacity TokenRequests RequiresRepublish SELinuxMount " +
			"NodeAllocatableUpdatePeriodSeconds ServiceAccountTokenInSecrets PreventPodSchedulingIfMissing"
	}
	return podLayout(typ)
}

// podLayout is [layout] for pods, where the reference keeps what is shared with the host in the security context.
func podLayout(typ string) string {
	switch typ {
	case "core/v1.PodSpec":
		return "Volumes InitContainers Containers EphemeralContainers RestartPolicy TerminationGracePeriodSeconds ActiveDeadlineSeconds " +
			"DNSPolicy NodeSelector ServiceAccountName AutomountServiceAccountToken NodeName SecurityContext ImagePullSecrets Hostname " +
			"Subdomain SetHostnameAsFQDN Affinity SchedulerName Tolerations HostAliases PriorityClassName Priority PreemptionPolicy " +
			"DNSConfig ReadinessGates RuntimeClassName Overhead EnableServiceLinks TopologySpreadConstraints OS SchedulingGates " +
			"ResourceClaims Resources HostnameOverride SchedulingGroup"
	case "core/v1.PodSecurityContext":
		return "SELinuxOptions WindowsOptions RunAsUser RunAsGroup RunAsNonRoot SupplementalGroups SupplementalGroupsPolicy FSGroup " +
			"FSGroupChangePolicy Sysctls SeccompProfile AppArmorProfile SELinuxChangePolicy"
	}
	return ""
}
