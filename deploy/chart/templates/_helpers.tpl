{{- define "orchestrator.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* Names get suffixes: -0 of the pod, and of a Job the minutes of its time. */}}
{{- define "orchestrator.fullname" -}}
{{- $name := include "orchestrator.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "orchestrator.selector" -}}
app.kubernetes.io/name: {{ include "orchestrator.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "orchestrator.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "orchestrator.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "orchestrator.image" -}}
{{- $image := .Values.image -}}
{{- if not $image.repository -}}
{{- fail "\nimage.repository is empty.\nhint: Build an image with deploy/Dockerfile, push it, and set image.repository and image.tag." -}}
{{- end -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $image.repository $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $image.repository (default .Chart.AppVersion $image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "orchestrator.serviceAccount" -}}
{{- default (ternary (include "orchestrator.fullname" .) "default" .Values.serviceAccount.create) .Values.serviceAccount.name -}}
{{- end -}}

{{- define "orchestrator.stepsServiceAccount" -}}
{{- $account := .Values.steps.serviceAccount -}}
{{- default (ternary (printf "%s-steps" (include "orchestrator.fullname" .)) "" $account.create) $account.name -}}
{{- end -}}

{{/* The account that pods of steps run as, whatever the chart makes. */}}
{{- define "orchestrator.stepsAccountInUse" -}}
{{- $pod := default dict .Values.workspace.kubernetes.pod -}}
{{- default (default "default" (include "orchestrator.stepsServiceAccount" .)) $pod.serviceAccountName -}}
{{- end -}}

{{- define "orchestrator.stepsNamespace" -}}
{{- default .Release.Namespace .Values.workspace.kubernetes.namespace -}}
{{- end -}}

{{- define "orchestrator.storageClaim" -}}
{{- if .Values.storage.claim -}}
{{- .Values.storage.claim -}}
{{- else if .Values.storage.create -}}
{{- include "orchestrator.fullname" . }}-storage
{{- end -}}
{{- end -}}

{{- define "orchestrator.backupClaim" -}}
{{- default (printf "%s-backup" (include "orchestrator.fullname" .)) .Values.backup.claim -}}
{{- end -}}

{{- define "orchestrator.stateDir" -}}
{{ trimSuffix "/" .Values.state.mount }}/state
{{- end -}}

{{/* What the workspace file says besides what the user wrote. */}}
{{- define "orchestrator.workspaceDefaults" -}}
{{- $pod := dict -}}
{{- if .Values.imagePullSecrets -}}
{{- $_ := set $pod "imagePullSecrets" .Values.imagePullSecrets -}}
{{- end -}}
{{- if include "orchestrator.stepsServiceAccount" . -}}
{{- $_ := set $pod "serviceAccountName" (include "orchestrator.stepsServiceAccount" .) -}}
{{- end -}}
{{- $kubernetes := dict "namespace" (include "orchestrator.stepsNamespace" .) "pod" $pod -}}
{{- if .Values.envFrom -}}
{{- $_ := set $kubernetes "env_from" .Values.envFrom -}}
{{- end -}}
{{- if include "orchestrator.storageClaim" . -}}
{{- $_ := set $kubernetes "storage" (dict "claim" (include "orchestrator.storageClaim" .) "mount" .Values.storage.mount) -}}
{{- end -}}
{{- dict "state_dir" (include "orchestrator.stateDir" .) "kubernetes" $kubernetes | toYaml -}}
{{- end -}}

{{- define "orchestrator.workspace" -}}
{{- $locations := list -}}
{{- range $location := .Values.workspace.locations -}}
{{- if eq (hasKey $location "module") (hasKey $location "file") -}}
{{- fail (printf "\nworkspace.locations: %s needs either `module` or `file`." $location.name) -}}
{{- end -}}
{{- $filled := merge (deepCopy $location) (dict "image" (include "orchestrator.image" $) "working_dir" "/app") -}}
{{- $locations = append $locations $filled -}}
{{- end -}}
{{- $written := deepCopy .Values.workspace -}}
{{- $_ := set $written "locations" $locations -}}
{{- mergeOverwrite (include "orchestrator.workspaceDefaults" . | fromYaml) $written | toYaml -}}
{{- end -}}

{{/* What the containers of the daemon and of the backup share. */}}
{{- define "orchestrator.container" -}}
image: {{ include "orchestrator.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  {{- toYaml .Values.daemon.securityContext | nindent 2 }}
env:
  - name: ORCHESTRATOR_WORKSPACE # so that `kubectl exec ... -- orchestrator status` finds it
    value: /etc/orchestrator/workspace.yaml
  {{- with .Values.daemon.env }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .Values.envFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "orchestrator.volumeMounts" -}}
- name: state
  mountPath: {{ .Values.state.mount }}
- name: workspace
  mountPath: /etc/orchestrator
  readOnly: true
- name: tmp
  mountPath: /tmp
{{- with .Values.daemon.volumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "orchestrator.volumes" -}}
- name: workspace
  configMap:
    name: {{ include "orchestrator.fullname" . }}
- name: tmp
  emptyDir: {}
{{- with .Values.daemon.volumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* A claim that is kept when the release is uninstalled: dict "root" . "name" ... "size" ... */}}
{{- define "orchestrator.claim" -}}
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: {{ .name }}
  namespace: {{ .namespace }}
  labels:
    {{- include "orchestrator.labels" .root | nindent 4 }}
  annotations:
    helm.sh/resource-policy: keep
spec:
  accessModes:
    {{- toYaml .accessModes | nindent 4 }}
  {{- with .storageClass }}
  storageClassName: {{ . }}
  {{- end }}
  resources:
    requests:
      storage: {{ .size }}
{{- end -}}
